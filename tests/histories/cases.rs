//! Short histories that were found by reasoning, each of one kind.

use super::history::{Act, Setting, Step, play};
use super::process::{Fate, Landing};
use super::runs::Command;
use super::tables::{PROGRESS, SEATS};
use Act::*;
use Command::*;
use Fate::*;
use Landing::*;
use Step::*;

#[test]
fn zz() {
    let setting = Setting { is_registered: false, slice_bytes: 1 };
    let steps = [
        Does(Writes("a", (0, "k1"), None)),
        Does(Writes("b", (0, "k1"), Some(false))),
        Does(Writes("c", (0, "k1"), None)),
        Applies(&[("c", "a")], Ends),
        Applies(&[("a", "c")], Ends),
        Applies(&[("a", "c"), ("b", "c")], Ends),
    ];
    assert_eq!(play(setting, &steps), Vec::<String>::new());
}
