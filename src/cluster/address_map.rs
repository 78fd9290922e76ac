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
///
/// The driver takes the port of the contact point that it asked for that of every node, so a port tells nodes of one
/// address apart only where it is that one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressMap(pub Vec<(SocketAddr, String)>);

impl AddressMap {
    /// As they were written: `ADVERTISED=HOST:PORT`.
    pub fn rules(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(from, to)| format!("{from}={to}"))
    }

    /// Where a node is reached; a name is looked up anew each time, for it may have another address by then.
    async fn reached(&self, advertised: SocketAddr) -> io::Result<SocketAddr> {
        let by_port = self.0.iter().find(|(from, _)| *from == advertised);
        let rule = by_port.or_else(|| self.0.iter().find(|(from, _)| from.ip() == advertised.ip()));
        let Some((_, to)) = rule else { return Ok(advertised) };
        let unknown =
            |why| io::Error::other(format!("{to} of --address-map has no address: {why}"));
        let mut addresses = lookup_host(to).await.map_err(|error| unknown(error.to_string()))?;
        addresses.next().ok_or_else(|| unknown("there is none".to_owned()))
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
        let [from, other] = ["10.1.2.3:9042", "10.1.2.4:9042"].map(|text| text.parse().unwrap());
        let map = AddressMap(vec![(from, "127.0.0.1:9142".to_owned())]);
        assert_eq!(map.reached(from).await.unwrap(), "127.0.0.1:9142".parse().unwrap());
        assert_eq!(map.reached(other).await.unwrap(), other);
        assert_eq!(map.rules().collect::<Vec<_>>(), ["10.1.2.3:9042=127.0.0.1:9142"]);
    }

    #[tokio::test]
    async fn a_node_has_the_port_of_the_contact_point_for_the_driver() {
        let [own, other, seen] = ["10.1.2.3:9042", "10.1.2.3:9043", "10.1.2.3:9142"]
            .map(|text| text.parse::<SocketAddr>().unwrap());
        let to = |port: u16| format!("127.0.0.1:{port}");
        let map = AddressMap(vec![(own, to(1)), (other, to(2))]);
        let port = async |at| map.reached(at).await.unwrap().port();
        assert_eq!([port(own).await, port(other).await, port(seen).await], [1, 2, 1]);
    }
}
