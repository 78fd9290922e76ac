//! The six figures of what is under way, which each of these shows: the progress line, `/status`, `/metrics` and the page.

use serde::Serialize;

/// What is under way at the moment, and how fast it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct UnderWay {
    /// Requests to the cluster that are under way.
    pub(crate) requests: u64,
    /// Groups that have begun and are not acknowledged.
    pub(crate) groups: u64,
    /// Windows of such groups.
    pub(crate) windows: u64,
    /// Groups that end per second, over the last 10 s; nothing before a second is over.
    pub(crate) groups_per_s: Option<f64>,
    /// Seconds since the window of the oldest such group began to read; nothing where there is none.
    pub(crate) oldest_s: Option<f64>,
    /// Bytes of rows and writes that such groups hold, at most.
    pub(crate) bytes: u64,
}

/// One of the six.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    /// Its name in `/metrics`.
    pub(crate) metric: &'static str,
    /// What it is, in one sentence.
    pub(crate) help: &'static str,
    /// Its value; nothing where there is none.
    pub(crate) value: Option<f64>,
}

impl UnderWay {
    /// All six, in the order in which they are shown.
    pub(crate) fn all(&self) -> [Figure; 6] {
        let figure = |metric, help, value| Figure { metric, help, value };
        let count = |n: u64| Some(n as f64);
        [
            figure(
                "tributary_requests_in_flight",
                "Requests that are under way.",
                count(self.requests),
            ),
            figure(
                "tributary_groups_in_flight",
                "Groups that have begun and are not acknowledged.",
                count(self.groups),
            ),
            figure("tributary_windows_in_flight", "Windows of such groups.", count(self.windows)),
            figure(
                "tributary_groups_per_second",
                "Groups that ended per second, over the last 10 s.",
                self.groups_per_s,
            ),
            figure(
                "tributary_oldest_group_seconds",
                "How long ago the window of the oldest group that is not acknowledged began to read.",
                self.oldest_s,
            ),
            figure(
                "tributary_held_bytes",
                "Bytes of rows and writes that groups hold, at most.",
                count(self.bytes),
            ),
        ]
    }

    /// Five of them in a few words, the most important first; the rate stands before. Nothing where nothing is under way.
    pub(crate) fn short(&self) -> String {
        let Self { requests, groups, windows, oldest_s, bytes, .. } = *self;
        if requests == 0 && groups == 0 {
            return String::new();
        }
        let oldest = oldest_s.map_or_else(String::new, |oldest| format!(", oldest {oldest:.1} s"));
        let [request_s, window_s] = [requests, windows].map(|n| if n == 1 { "" } else { "s" });
        format!(
            ", {groups} under way, {requests} request{request_s}, {}{oldest}, {windows} window{window_s}",
            size(bytes)
        )
    }
}

/// `999 B`, `12.3 kB`, `4.5 MB`.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
pub(crate) const EXAMPLE: UnderWay = UnderWay {
    requests: 16,
    groups: 512,
    windows: 2,
    groups_per_s: Some(62.0),
    oldest_s: Some(1.25),
    bytes: 3_400_000,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_named_once() {
        let json = serde_json::to_value(EXAMPLE).unwrap();
        assert_eq!(json.as_object().unwrap().len(), EXAMPLE.all().len());
        let names = ["requests", "groups", "windows", "groups_per_s", "oldest_s", "bytes"];
        for (name, Figure { value, .. }) in names.into_iter().zip(EXAMPLE.all()) {
            assert_eq!(json[name].as_f64(), value, "{name}");
        }
        assert_eq!(
            EXAMPLE.short(),
            ", 512 under way, 16 requests, 3.4 MB, oldest 1.2 s, 2 windows"
        );
        let few = UnderWay { requests: 1, windows: 1, oldest_s: None, ..EXAMPLE };
        assert_eq!(few.short(), ", 512 under way, 1 request, 3.4 MB, 1 window");
        assert_eq!(UnderWay::default().short(), "");
        assert_eq!([7, 12_345, 7_100_000_000].map(size), ["7 B", "12.3 kB", "7.1 GB"]);
    }
}
