//! Which sink the events of a run go to, as the settings say.

use std::sync::Arc;

use super::{KINDS, SinkKind, SinkSettings};
use crate::setting::Command::{Apply, Resume, Undo, Verify};
use crate::setting::{Described, Layers, Origin, Setting, SettingsError, settings};

settings! {
    /// Whether anything is announced.
    pub(super) EVENTS: "Events", &[Apply, Resume, Verify, Undo];

    /// Merge without announcing it
    NO_EVENTS: bool = Setting::switch("no_events")
        .recalled_from("events", |events| events.is_null().then(|| "true".to_owned()));
}

/// Whether --no-events may be said of a run that has events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// What is undone or repaired need not be announced.
    Allowed,
    /// What a run announces, it announces to its end.
    Refused,
}

/// Where the events of a run are to go, and how.
pub(crate) type EventSettings = Arc<dyn SinkSettings>;

/// Where events go, as the settings say; `None` if nowhere.
///
/// # Errors
/// A setting is missing, or has no value that it may have, or is not what the run began with.
pub(crate) fn of(
    layers: &Layers,
    silence: Silence,
) -> Result<Option<EventSettings>, SettingsError> {
    choose(KINDS, layers, silence)?.map(|kind| (kind.of)(layers)).transpose()
}

/// What has to be given yet, for events to go somewhere: flags with stand-ins for their values.
pub(crate) fn lacks(layers: &Layers) -> Vec<String> {
    lacking(KINDS, layers)
}

/// The flag and a stand-in for the value of what has to be given besides; nothing if nothing has.
fn lacking(kinds: &[SinkKind], layers: &Layers) -> Vec<String> {
    let is_given = |kind: &SinkKind| layers.written(kind.destination.row()).is_some();
    let is_silent = layers.written(NO_EVENTS.row()).is_some_and(|given| given.text == "true");
    if is_silent || kinds.iter().any(is_given) {
        return Vec::new();
    }
    let first = kinds.first().map(|kind| kind.destination.row());
    first.into_iter().flat_map(|row| [row.flag(), row.name.to_uppercase()]).collect()
}

/// The kind of sink: that of the run, else the one whose destination is given, else the first; `None` without events.
fn choose<'k>(
    kinds: &'k [SinkKind],
    layers: &Layers,
    silence: Silence,
) -> Result<Option<&'k SinkKind>, SettingsError> {
    let is_silent = layers.get(&NO_EVENTS)?;
    let flag =
        |kind: &SinkKind| match layers.given(kind.destination.row()).map(|given| &given.origin) {
            Some(Origin::Flag(flag)) => Some(flag.clone()),
            _ => None,
        };
    if let Some(own) = layers.recorded(NO_EVENTS.row()) {
        return match kinds.iter().find_map(flag) {
            Some(flag) => Err(SettingsError::new(format!(
                "{flag}: this run was begun without events ({}), and goes on without",
                own.origin
            ))),
            None => Ok(None),
        };
    }
    let recorded = |kind: &'k SinkKind| Some((kind, layers.recorded(kind.destination.row())?));
    if let Some((kind, own)) = kinds.iter().find_map(recorded) {
        let goes_on = |flag: &str| {
            SettingsError::new(format!(
                "{flag}: this run announces its changes to the {} '{}' ({}), and goes on to",
                kind.destination.row().name.replace('_', " "),
                own.text,
                own.origin
            ))
        };
        let others = kinds
            .iter()
            .filter(|other| other.destination.row().name != kind.destination.row().name);
        return match others.filter_map(flag).next() {
            _ if is_silent && silence == Silence::Refused => Err(goes_on("--no-events")),
            _ if is_silent => Ok(None),
            Some(flag) => Err(goes_on(&flag)),
            None => Ok(Some(kind)),
        };
    }
    if is_silent {
        return Ok(None);
    }
    let given = |kind: &'k SinkKind| Some((kind, layers.given(kind.destination.row())?));
    match kinds.iter().filter_map(given).collect::<Vec<_>>()[..] {
        [] => Ok(kinds.first()),
        [(kind, _)] => Ok(Some(kind)),
        [(_, one), (_, other), ..] => Err(SettingsError::new(format!(
            "{} and {}: events have one destination; leave one of them out",
            one.origin, other.origin
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setting::{Given, ValueKind, address, recall, values};

    static SHELF: Setting<String> = Setting::new("shelf", ValueKind::Text, "SHELF", values::any);

    /// The kinds that there are, and another.
    fn kinds() -> Vec<SinkKind> {
        let of = |_: &Layers| Err(SettingsError::new("none"));
        let other = SinkKind { name: "Shelf", manual: "", settings: &[], destination: &SHELF, of };
        KINDS.iter().copied().chain([other]).collect()
    }

    fn given(key: &str, origin: Origin) -> Given {
        Given { key: key.to_owned(), text: "x".to_owned(), origin }
    }

    fn flag(key: &str) -> Given {
        given(key, Origin::Flag(format!("--{key}")))
    }

    fn of_run(key: &str) -> Given {
        given(key, Origin::Run("run.json".into(), key.to_owned()))
    }

    /// The destination of what is chosen, or what is wrong.
    fn chosen(all: impl IntoIterator<Item = Given>, silence: Silence) -> String {
        match choose(&kinds(), &Layers::default().over(all), silence) {
            Ok(kind) => kind.map_or("none", |kind| kind.destination.row().name).to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn whoever_gives_a_destination_chooses_the_sink() {
        let refused = |all: Vec<Given>| chosen(all, Silence::Refused);
        assert_eq!(refused(vec![]), "topic");
        assert_eq!(refused(vec![flag("topic")]), "topic");
        assert_eq!(refused(vec![flag("shelf")]), "shelf");
        let both = refused(vec![flag("topic"), flag("shelf")]);
        assert_eq!(both, "--topic and --shelf: events have one destination; leave one of them out");
    }

    #[test]
    fn a_run_keeps_its_sink() {
        let refused = |all: Vec<Given>| chosen(all, Silence::Refused);
        assert_eq!(refused(vec![of_run("shelf")]), "shelf");
        let goes_on =
            "this run announces its changes to the shelf 'x' (shelf in run.json), and goes on to";
        assert_eq!(refused(vec![flag("topic"), of_run("shelf")]), format!("--topic: {goes_on}"));
        let silent = || Given { text: "true".into(), ..flag("no_events") };
        assert_eq!(refused(vec![silent(), of_run("shelf")]), format!("--no-events: {goes_on}"));
        assert_eq!(chosen([silent(), of_run("shelf")], Silence::Allowed), "none");
        // What the environment or a file says of another sink is for other runs.
        let of_file = given("topic", Origin::Environment("TRIBUTARY_TOPIC".into()));
        assert_eq!(refused(vec![of_file, of_run("shelf")]), "shelf");
    }

    static HOOK: Setting<String> = Setting::new("hook", ValueKind::Text, "URL", values::any)
        .recorded_at("events/hook", address, recall)
        .pinned();

    #[test]
    fn a_secret_of_a_destination_is_given_again_and_never_told() {
        assert_eq!(address(&"https://me:hunter2@h/x"), "https://***@h/x");
        let own = Given { text: "https://***@h/x".into(), ..of_run("hook") };
        let find = |all: Vec<Given>| {
            Layers::default().over(all).find(&HOOK).map_err(|error| error.to_string())
        };
        let lost = find(vec![own.clone()]).unwrap_err();
        assert!(lost.starts_with("the run had a secret for --hook"), "{lost}");
        assert!(lost.contains("TRIBUTARY_HOOK or as hook of"), "{lost}");
        let again =
            |text: &str| find(vec![Given { text: text.into(), ..flag("hook") }, own.clone()]);
        assert_eq!(again("https://me:hunter2@h/x").unwrap().unwrap(), "https://me:hunter2@h/x");
        let other = again("https://me:hunter2@h/y").unwrap_err();
        assert!(other.contains("'https://***@h/y'") && !other.contains("hunter2"), "{other}");
    }
}
