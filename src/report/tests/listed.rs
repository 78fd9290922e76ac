//! The list of runs.

use super::data::runs;

#[test]
fn the_parts_of_a_plan_are_one() {
    let runs = runs();
    let plans: Vec<_> = runs.plans.iter().map(|plan| (&plan.runs[..], plan.state)).collect();
    let own = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    let expected = [
        (own(&["b.1of2", "a.2of2"]), "running"),
        (own(&["c.1of2"]), "partial"),
        (own(&["d.2of2"]), "partial"),
        (own(&["e.1of3"]), "partial"),
    ];
    assert_eq!(plans, expected.each_ref().map(|(ids, state)| (&ids[..], *state)));
    let groups = [("done".to_owned(), 2), ("running".to_owned(), 2)];
    assert_eq!(runs.plans[0].groups, groups.into());
    assert_eq!(runs.plans[3].not_begun, ["2/3", "3/3"].map(|part| part.parse().unwrap()));
    let text = crate::report::Rendered::of(&runs).unwrap().text;
    assert!(text.contains("below: 2 parts") && text.contains("not begun: 2/3, 3/3"), "{text}");

    // A run that nothing works on is not said to be running.
    let killed = super::super::Runs::new("k", Vec::new(), runs.runs.clone());
    let killed = crate::report::Rendered::of(&killed).unwrap();
    assert!(
        killed.text.contains("  running, stopped  ") && !text.contains("stopped"),
        "{}",
        killed.text
    );
    assert!(killed.text.contains("1 run that no process works on"), "{}", killed.text);
    assert!(killed.json.contains("\"stopped\": true"), "{}", killed.json);

    // Ids are to be copied: as long as they are, a plan's row has its first whole, and so has that part's own.
    let mut long = runs;
    let lengthen = |id: &mut String| *id = format!("20261123T041455Z-and-more-{id}");
    long.runs.iter_mut().for_each(|run| lengthen(&mut run.run));
    long.plans.iter_mut().flat_map(|plan| &mut plan.runs).for_each(lengthen);
    let text = crate::report::Rendered::of(&long).unwrap().text;
    for plan in &long.plans {
        let rows = text.lines().filter(|line| line.starts_with(&plan.runs[0]));
        assert_eq!(rows.count(), 2, "{text}");
    }
}
