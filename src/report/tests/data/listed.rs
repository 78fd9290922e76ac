//! Runs as the register lists them.

use super::*;

/// A run of this id, in this state, of this input.
pub(in super::super) fn listed(id: &str, state: &'static str, input: &str) -> ListedRun {
    ListedRun {
        run: id.to_owned(),
        state,
        stopped: false,
        end: None,
        host: "h".to_owned(),
        run_dir: "/r".into(),
        user: String::new(),
        tributary: String::new(),
        began: Moment::from_us(0),
        ended: None,
        input_sha256: input.to_owned(),
        spec_sha256: String::new(),
        tables: Vec::new(),
        groups: [(state.to_owned(), 2)].into(),
        part: Part::of_run(id),
    }
}

/// Parts of several plans, and a whole one.
pub(in super::super) fn runs() -> Runs {
    let runs = [
        listed("a.2of2", "done", "x"),
        listed("whole", "done", "x"),
        listed("b.1of2", "running", "x"),
        // The same once more, of which one part has not begun yet; another list; other parts.
        listed("c.1of2", "done", "x"),
        listed("d.2of2", "lost", "y"),
        listed("e.1of3", "undone", "x"),
    ];
    Runs::new("k", vec!["b.1of2 on h".to_owned()], runs.to_vec())
}
