//! How values of these settings are written: each function takes text and returns the value, or what is wrong in words
//! that continue "'abc' …".

use strum::VariantNames;

use crate::cluster::{AddressMap, Consistency};
use crate::setting::values;

/// The port of Cassandra's CQL protocol.
const CQL_PORT: u16 = 9_042;

/// `host:port,…`; the port may be left out, and IPv6 addresses stand in brackets.
pub(super) fn hosts(text: &str) -> Result<Vec<String>, String> {
    values::hosts(text)?.into_iter().map(|host| values::with_port(host, CQL_PORT)).collect()
}

/// `10.0.0.1=db1:9142,…`; ports may be left out.
pub(super) fn address_map(text: &str) -> Result<AddressMap, String> {
    let rule = |rule: &str| {
        let wrong = || format!("is not FROM=TO,… ({rule})");
        let (from, to) = rule.split_once('=').ok_or_else(wrong)?;
        let from = values::with_port(from.trim(), CQL_PORT)?;
        let from = from.parse().map_err(|_| {
            format!("is not FROM=TO,… ({from} is no address: nodes advertise addresses, not names)")
        })?;
        Ok((from, values::with_port(to.trim(), CQL_PORT)?))
    };
    values::hosts(text)?.into_iter().map(rule).collect::<Result<_, String>>().map(AddressMap)
}

/// A keyspace: letters, digits and underscores, and not one of the server's own.
pub(super) fn keyspace(text: &str) -> Result<String, String> {
    if text == "system" || text.starts_with("system_") {
        return Err("is a keyspace of the server's own".to_owned());
    }
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        Ok(text.to_owned())
    } else {
        Err("is not a keyspace: letters, digits and _ are allowed".to_owned())
    }
}

/// A consistency level by its CQL name.
pub(super) fn consistency(text: &str) -> Result<Consistency, String> {
    let names = Consistency::VARIANTS.join(", ");
    text.replace('-', "_")
        .parse()
        .map_err(|_| format!("is not a consistency level: use one of {names}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_get_their_port() {
        assert_eq!(
            hosts("db1, db2:9043,[::1],[fe80::1]:1,").unwrap(),
            ["db1:9042", "db2:9043", "[::1]:9042", "[fe80::1]:1"]
        );
        for wrong in
            ["", " , ", "db1:", "db1:0", "db1:99999", "::1", "[::1", "[::1]9", "a b:1", "h/x"]
        {
            hosts(wrong).unwrap_err();
        }
    }

    #[test]
    fn addresses_are_mapped_to_names_and_addresses() {
        let map = address_map("10.0.0.1=db1:9142, [::1]:9043=10.9.0.2").unwrap();
        let rules: Vec<_> = map.rules().collect();
        assert_eq!(rules, ["10.0.0.1:9042=db1:9142", "[::1]:9043=10.9.0.2:9042"]);
        for wrong in
            ["", "10.0.0.1", "db1=10.0.0.1", "10.0.0.1=", "10.0.0.1:x=db1", "10.0.0.1=db1=db2"]
        {
            address_map(wrong).unwrap_err();
        }
    }

    #[test]
    fn names_are_checked() {
        keyspace("k-1").unwrap_err();
        assert_eq!(keyspace("system_auth").unwrap_err(), "is a keyspace of the server's own");
        assert_eq!(consistency("quorum").unwrap(), Consistency::Quorum);
        assert!(consistency("most").unwrap_err().contains("LOCAL_QUORUM"));
    }
}
