//! Which datacenters hold the merged keyspace, and at which consistency levels it is read and written then.

use std::collections::BTreeSet;

use scylla::client::session::Session;
use scylla::cluster::metadata::Strategy;

use super::{ClusterError, ClusterSettings, Consistency};

/// The consistency levels of a run's statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Levels {
    pub(super) reads: Consistency,
    pub(super) writes: Consistency,
}

impl Levels {
    /// Where applications write in several datacenters, a majority of one may not know yet what was acknowledged in
    /// another, and a delete would cover it unseen: a majority of each is asked. (Cassandra reads at EACH_QUORUM since
    /// 3.0: CASSANDRA-9602.)
    pub(super) fn of_tables(settings: &ClusterSettings, held: &[String]) -> Self {
        let asked = settings.consistency;
        let may_lag = held.len() > 1 && !settings.single_writer_dc;
        let reads = match asked {
            Consistency::All => asked,
            _ if may_lag => Consistency::EachQuorum,
            _ => asked,
        };
        Self { reads, writes: asked }
    }

    /// Who works elsewhere reads the register there.
    pub(super) fn of_register(self, held: &[String]) -> Self {
        match held.len() > 1 {
            true => Self { writes: Consistency::EachQuorum, ..self },
            false => self,
        }
    }
}

/// The datacenters that hold replicas of the merged keyspace, as far as its replication names them.
pub(super) fn of_keyspace(session: &Session, settings: &ClusterSettings) -> Vec<String> {
    let state = session.get_cluster_state();
    let Some(keyspace) = state.get_keyspace(&settings.keyspace) else { return Vec::new() };
    let Strategy::NetworkTopologyStrategy { datacenter_repfactors } = &keyspace.strategy else {
        return Vec::new();
    };
    let held = datacenter_repfactors.iter().filter(|(_, replicas)| **replicas > 0);
    held.map(|(name, _)| name.clone()).collect::<BTreeSet<_>>().into_iter().collect()
}

/// LOCAL_QUORUM means the datacenter of whichever node coordinates; with several, one has to be named.
pub(super) fn check(session: &Session, settings: &ClusterSettings) -> Result<(), ClusterError> {
    let state = session.get_cluster_state();
    let known: BTreeSet<String> =
        state.get_nodes_info().iter().filter_map(|node| node.datacenter.clone()).collect();
    let known: Vec<String> = known.into_iter().collect();
    match &settings.local_dc {
        Some(named) if !known.contains(named) => {
            Err(ClusterError::UnknownDatacenter { named: named.clone(), known })
        }
        None if known.len() > 1 => Err(ClusterError::SeveralDatacenters { known }),
        _ => Ok(()),
    }
}

/// Says once how a keyspace of several datacenters is read.
pub(super) fn tell(settings: &ClusterSettings, held: &[String]) {
    if held.len() < 2 {
        return;
    }
    let (keyspace, all) = (&settings.keyspace, held.join(", "));
    let Levels { reads, .. } = Levels::of_tables(settings, held);
    if settings.single_writer_dc {
        let here = settings.local_dc.as_deref().unwrap_or_default();
        tracing::warn!(
            "{keyspace} is in the datacenters {all} and read at {reads}: what applications write in another than {here} \
             may be deleted unseen (--single-writer-dc says that they do not)"
        );
    } else {
        tracing::info!(
            "{keyspace} is in the datacenters {all}: it is read at {reads}, so that nothing is overlooked which was \
             acknowledged in another"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(consistency: Consistency) -> ClusterSettings {
        ClusterSettings { keyspace: "k".into(), consistency, ..ClusterSettings::default() }
    }

    #[test]
    fn several_datacenters_are_read_at_a_majority_of_each() {
        let (one, two) = (["a".to_owned()], ["a", "b"].map(str::to_owned));
        for asked in [Consistency::LocalQuorum, Consistency::Quorum, Consistency::One] {
            let levels = Levels::of_tables(&settings(asked), &two);
            assert_eq!(levels, Levels { reads: Consistency::EachQuorum, writes: asked });
            assert_eq!(levels.of_register(&two).writes, Consistency::EachQuorum);
            let local = Levels { reads: asked, writes: asked };
            let levels = Levels::of_tables(&settings(asked), &one);
            assert_eq!((levels, levels.of_register(&one)), (local, local));
            let alone = ClusterSettings { single_writer_dc: true, ..settings(asked) };
            let levels = Levels::of_tables(&alone, &two);
            assert_eq!((levels, levels.of_register(&two).writes), (local, Consistency::EachQuorum));
        }
        let all = Levels { reads: Consistency::All, writes: Consistency::All };
        assert_eq!(Levels::of_tables(&settings(Consistency::All), &two), all);
    }
}
