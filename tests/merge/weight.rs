//! What answers weigh: a few accounts with rows of a megabyte among many with small ones do not make a walk ask for more
//! than a node can hold (case B7).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tempfile::TempDir;
use tributary::journal::memory::MemoryJournal;
use tributary::pairs::{self, Format};
use tributary::pipeline::{Context, Discover, ErrorLimit, Selection};
use tributary::plan::{self, Plan};
use tributary::storage::memory::MemoryStorage;
use tributary::verify::Options;

use super::coalesce::{never, run_all};
use super::context_of;
use super::inspect::{inspect, reading};
use super::model::World;
use super::preset::spec;
use super::sweep::sweep;
use super::undo::undo_all;
use super::verify::{diff, verified};
use super::world::{dump, load};

const SMALL: usize = 200;
const LARGE: usize = 12;

/// Where the large rows are.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Where {
    /// In the accounts' own partitions: fourteen of a megabyte each.
    Content,
    /// In a partition that all accounts share: one of two megabytes each.
    Enrolments,
}
const MIB: usize = 1_024 * 1_024;

/// The small and the large accounts in an order.
fn world(order: &str, place: Where) -> (World, Plan) {
    let mut names: Vec<String> = (0..SMALL).map(|n| format!("small{n}")).collect();
    for n in 0..LARGE {
        let at = match order {
            "first" => n,
            "last" => names.len(),
            _ => n * (SMALL + LARGE) / LARGE,
        };
        names.insert(at, format!("large{n}"));
    }
    let mut world = World::default();
    let mut csv = "from,to\n".to_owned();
    for name in names {
        let is_large = name.starts_with("large");
        let (rows, bytes) = match place {
            Where::Content if is_large => (14, 1_000_000),
            _ => (3, 10),
        };
        for row in 0..rows {
            let key = (name.clone(), format!("c{row:02}"), "b0".to_owned(), "k".to_owned());
            let columns = [("status", "1".to_owned()), ("grade", "x".repeat(bytes))];
            world.content.insert(key, columns.map(|(n, v)| (n.to_owned(), v)).into());
        }
        if place == Where::Enrolments {
            let bytes = if is_large { 2_000_000 } else { 10 };
            let columns = [("grade", "x".repeat(bytes))];
            let key = ("b0".to_owned(), name.clone());
            world.enrolments.insert(key, columns.map(|(n, v)| (n.to_owned(), v)).into());
        }
        csv += &format!("{name},to-{name}\n");
    }
    (world, plan::resolve(pairs::read(csv.as_bytes(), &Format::default()).unwrap()))
}

/// What answers weighed in a walk that is over, in MiB: at once, and the largest.
fn weighed(context: &Context<MemoryStorage>) -> [usize; 2] {
    let answers = &context.storage.answers;
    [&answers.at_once, &answers.largest].map(|most| most.swap(0, Ordering::Relaxed).div_ceil(MIB))
}

fn walks(order: &str, place: Where, window: usize) -> Vec<(&'static str, [usize; 2])> {
    let (world, plan) = world(order, place);
    let storage = MemoryStorage::new(spec());
    load(&world, &spec(), &storage);
    let mut seen = Vec::new();
    let mut context = reading(storage, Discover::Scan);
    Arc::get_mut(&mut context).unwrap().window = Some(window);
    inspect(&context, &plan, Selection::All, &never()).unwrap();
    seen.push(("inspect", weighed(&context)));
    let journal = Arc::<MemoryJournal>::default();
    let again = |context: Arc<Context<MemoryStorage>>| {
        let storage = Arc::into_inner(context).unwrap().into_storage().unwrap();
        let mut context = context_of(64, storage, Arc::clone(&journal), 1_000_000);
        Arc::get_mut(&mut context).unwrap().window = Some(window);
        context
    };
    let context = again(context);
    let (outcome, _) = run_all(&context, &plan, never(), ErrorLimit::Groups(0));
    assert_eq!(outcome.done, (SMALL + LARGE) as u64);
    seen.push(("merge", weighed(&context)));
    let (context, swept, _) = sweep(again(context), &plan);
    assert_eq!(swept.failed, 0);
    seen.push(("sweep", weighed(&context)));
    let context = again(context);
    let folder = TempDir::new().unwrap();
    let look = Options::default();
    assert_eq!(verified(&context, look, &diff(&folder)).failed, 0);
    seen.push(("verify", weighed(&context)));
    let (context, _, _, failures) = undo_all(again(context), false);
    assert_eq!(failures, Vec::<String>::new());
    seen.push(("undo", weighed(&context)));
    assert!(dump(&spec(), &context.storage) == world, "{order}: other rows");
    seen
}

#[test]
fn answers_are_bounded_by_bytes() {
    let orders = [("first", 64), ("last", 64), ("mixed", 64), ("mixed", 1_000)];
    let of_content = orders.map(|order| (Where::Content, order));
    let of_enrolments = [orders[1], orders[3]].map(|order| (Where::Enrolments, order));
    for (place, (order, window)) in of_content.into_iter().chain(of_enrolments) {
        for (walk, [at_once, largest]) in walks(order, place, window) {
            assert!(
                at_once <= 64 && largest <= 16,
                "{place:?} {order} {window} {walk}: {at_once} MiB at once, {largest} in one answer"
            );
        }
    }
}
