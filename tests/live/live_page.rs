//! The live page, in a real browser, while a real run goes on.

use serde_json::Value;

use crate::browser::Browser;
use crate::data::{self, Data};
use crate::frames::INVALID;
use crate::model;
use crate::proxy::{Fate, Proxy};
use crate::watched::Watched;
use crate::world::{World, to_csv};

/// What somebody registered with.
const HOSTILE: &str = "<script>document.title='owned'</script><img src=x>";

#[test]
fn a_run_is_watched_held_and_ended_in_a_browser() {
    let world = World::new("page");
    let mut data = Data::new(17);
    // The groups come in the order of their lines: the one that fails is among the first.
    data.study(HOSTILE, "c1", "b1");
    data.pair(HOSTILE, "to-hostile");
    for n in 0..60 {
        data.study(&format!("from-{n}"), "c1", "b1");
        data.pair(&format!("from-{n}"), &format!("to-{n}"));
    }
    world.load(&data.tables);
    let expected = model::apply(&data.lines, &data::without_empty_maps(data.tables.clone()));
    assert_eq!(expected.plan.groups.len(), 61);
    let proxy = Proxy::with(&world.addresses.hosts, |request, _| {
        let refused = request.writes() && request.binds(HOSTILE);
        if refused { Fate::Refuse(INVALID) } else { Fate::Pass }
    });
    let run = world.run_dir();
    let call = world.apply(&world.file("pairs.csv", to_csv(&data.lines)), &run);
    let watched = Watched::start(call.with("--hosts", &proxy.hosts), &run);

    let browser = Browser::start();
    browser.open(&watched.page);
    browser.wait_for("return document.getElementById('finished').textContent > '1'");
    let shown = browser.script("return location.href");
    assert!(!shown.to_string().contains("token"), "the token stays in the address bar: {shown}");
    assert_eq!(browser.text("#total"), "61");

    // An id is text, whatever it holds.
    browser.wait_for("return document.querySelectorAll('#failures li').length === 1");
    browser.wait_for("return document.querySelectorAll('#failures code').length === 1");
    let failures = browser.texts("#failures code");
    assert_eq!(failures, [format!("{HOSTILE} → to-hostile")]);
    // Whoever looks without the token is not told whose account it is.
    let without =
        [watched.get("/status").1, watched.events().next().expect("one comes").1.to_string()];
    for shown in without {
        assert!(shown.contains("\"failed\":1") && !shown.contains("hostile"), "{shown}");
    }
    let foreign = "return document.querySelectorAll('main script, main img').length";
    assert_eq!(browser.script(foreign), 0);

    // Held from the page, also over a reload.
    browser.click("#pause");
    browser.wait_for("return document.getElementById('phase').textContent === 'paused'");
    // Not the requests: a window without any in flight may still wait for its events.
    browser.wait_for("return document.getElementById('under-groups').textContent === '0'");
    let held = browser.text("#finished");
    browser.script("location.reload()");
    browser.wait_for("return document.getElementById('phase')?.textContent === 'paused'");
    assert_eq!(browser.text("#finished"), held);

    for (width, height) in [(390, 844), (1280, 900)] {
        browser.resize(width, height);
        for scheme in ["light", "dark"] {
            browser.prefer(scheme);
            let over = browser.script(
                "return Array.from(document.querySelectorAll('body *')).filter(e => \
                 e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML.slice(0, 80))",
            );
            assert_eq!(over, Value::Array(Vec::new()), "at {width} pixels");
            let wide = browser.script("return document.documentElement.scrollWidth");
            assert!(wide.as_u64().is_some_and(|wide| wide <= width.into()), "{wide} at {width}");
        }
    }

    // A rate of its own, none, and on to the end.
    browser.script("document.getElementById('rate-input').value = '3,5'");
    browser.click("#set-rate");
    browser.wait_for("return document.getElementById('rate-limit').textContent === 'at most 3.5'");
    browser.click("#no-rate");
    browser.wait_for("return document.getElementById('rate-limit').textContent === 'no limit set'");
    assert_eq!(browser.text("#pause"), "Resume");
    browser.click("#pause");
    browser.wait_for("return document.getElementById('notice').textContent.includes('has ended')");
    let notice = browser.text("#notice");
    assert!(notice.contains("exit code 3") && notice.contains("tributary resume"), "{notice}");
    assert_eq!(
        (browser.text("#finished"), browser.text("#failed-count")),
        ("61".into(), "1 failed".into())
    );
    let closed =
        "return ['pause', 'stop', 'set-rate'].every(id => document.getElementById(id).disabled)";
    assert_eq!(browser.script(closed), true);
    watched.running.wait().exits(3);

    // The server is gone, and the page neither minds nor asks for it again.
    browser.script("window.later = false; setTimeout(() => { window.later = true; }, 2500)");
    browser.wait_for("return window.later");
    assert_eq!(browser.console(), Vec::<String>::new());
    let own = watched.page.split('#').next().expect("a page has an address");
    let requests = browser.requests();
    let is_own = |url: &String| url.starts_with(own) || url.starts_with("data:");
    assert!(requests.iter().all(is_own), "{requests:?}");
    assert_eq!(browser.script("return document.title.includes('owned')"), false);
}

#[test]
fn without_the_token_a_page_only_shows() {
    let (world, lines, _) = crate::stops::world("page_only", 40);
    let run = world.run_dir();
    let call = world.apply(&world.file("pairs.csv", to_csv(&lines)), &run);
    let mut watched = Watched::start(call, &run);
    let browser = Browser::start();
    browser.open(watched.page.split('#').next().expect("a page has an address"));
    browser.wait_for("return document.getElementById('total').textContent === '40'");
    assert_eq!(browser.script("return document.getElementById('stop').disabled"), true);
    assert!(browser.text("#said").contains("token"), "{}", browser.text("#said"));
    assert_eq!(browser.console(), Vec::<String>::new());
    // A process that dies says nothing; the page does, with what to do.
    watched.running.kill();
    browser.wait_for(
        "return document.getElementById('notice').textContent.includes('tributary resume')",
    );
    watched.running.wait().was_killed();
}
