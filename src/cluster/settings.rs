//! How a cluster is reached.
use scylla::statement::Consistency as S;
/// x
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// x
    pub hosts: Vec<String>,
    /// x
    pub keyspace: String,
    /// x
    pub local_dc: Option<String>,
    /// x
    pub username: Option<String>,
    /// x
    pub password: Option<Secret>,
    /// x
    pub consistency: Consistency,
}
/// x
#[derive(Clone, Debug)]
pub struct Secret(String);
impl Secret {
    /// x
    pub fn expose(&self) -> &str {
        &self.0
    }
}
/// x
#[derive(Clone, Copy, Debug)]
pub enum Consistency {
    /// x
    LocalQuorum,
}
impl From<Consistency> for S {
    fn from(_: Consistency) -> S {
        S::LocalQuorum
    }
}
