//! Where nodes are reached that say another address of themselves than one that can be reached from here.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use scylla::errors::TranslationError;
use scylla::policies::address_translator::{AddressTranslator, UntranslatedPeer};
use tokio::net::lookup_host;

/// For addresses that nodes advertise, the `host:port` at which they are reached; any other is taken as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressMap(pub Vec<(SocketAddr, String)>);

impl AddressMap {
    /// As they were written: `ADVERTISED=HOST:PORT`.
    pub fn rules(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(from, to)| format!("{from}={to}"))
    }

    /// Where a node is reached; a name is looked up anew each time, for it may have another address by then.
    async fn reached(&self, advertised: SocketAddr) -> io::Result<SocketAddr> {
        let Some((_, to)) = self.0.iter().find(|(from, _)| *from == advertised) else {
            return Ok(advertised);
        };
        let unknown = || io::Error::other(format!("{to} has no address"));
        lookup_host(to).await?.next().ok_or_else(unknown)
    }
}

impl AddressTranslator for AddressMap {
    fn translate_address<'s, 'p, 'f>(
        &'s self,
        peer: &'p UntranslatedPeer<'_>,
    ) -> BoxFuture<'f, Result<SocketAddr, TranslationError>>
    where
        's: 'f,
        'p: 'f,
        Self: 'f,
    {
        let advertised = peer.untranslated_address();
        async move {
            let reached = self.reached(advertised).await;
            reached.map_err(|error| TranslationError::IoError(Arc::new(error)))
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_in_the_map_is_taken_as_it_is() {
        let [from, other] = ["10.1.2.3:9042", "10.1.2.3:9043"].map(|text| text.parse().unwrap());
        let map = AddressMap(vec![(from, "127.0.0.1:9142".to_owned())]);
        assert_eq!(map.reached(from).await.unwrap(), "127.0.0.1:9142".parse().unwrap());
        assert_eq!(map.reached(other).await.unwrap(), other);
        assert_eq!(map.rules().collect::<Vec<_>>(), ["10.1.2.3:9042=127.0.0.1:9142"]);
    }
}
