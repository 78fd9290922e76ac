//! The pages that a run leaves, in a real browser: what they show is what the JSON has, and text of others stays text.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::data::Data;
use crate::frames::INVALID;
use crate::process::{Call, read_json};
use crate::proxy::{Fate, Proxy};
use crate::world::{World, to_csv};

const SCRIPT: &str = "<script>document.title='taken over'</script>";
const IMAGE: &str = "\"><img src=x onerror=\"document.title='taken over'\">";
const GROUPS: u64 = 60;
const PHONE: u32 = 390;

/// Sixty groups in seven batches, one of them with an id that is a script; and lines that are rejected.
struct Applied {
    world: World,
    pairs: PathBuf,
    run: PathBuf,
}

impl Applied {
    fn loaded(name: &str) -> Self {
        let world = World::new(name);
        let mut data = Data::new(61);
        for n in 0..GROUPS {
            let from = if n == 5 { SCRIPT.to_owned() } else { format!("from-{n}") };
            let to = format!("to-{n}");
            let batch = format!("b{}", n % 7);
            for content in ["c1", "c2"] {
                data.study(&from, content, &batch);
            }
            data.study(&to, "c1", &batch);
            data.pair(&from, &to);
        }
        data.pair(IMAGE, IMAGE);
        data.pair(IMAGE, "one");
        data.pair(IMAGE, "another");
        world.load(&data.tables);
        let pairs = world.file("pairs.csv", to_csv(&data.lines));
        let run = world.run_dir();
        Self { world, pairs, run }
    }

    fn command(&self, name: &str) -> Call {
        Call::new(&[name, self.run.to_str().expect("the tests use UTF-8")])
            .with("--hosts", &self.world.addresses.hosts)
            .flag("--json")
    }
}

/// A page in a browser, and the JSON that has the same figures.
struct Page<'a> {
    browser: &'a Browser,
    json: Value,
}

impl<'a> Page<'a> {
    /// Opens a page on a desk. It asks for nothing but itself, and neither it nor the browser complains.
    #[track_caller]
    fn open(browser: &'a Browser, html: &Path) -> Self {
        browser.devtools("Emulation.clearDeviceMetricsOverride", &json!({}));
        browser.prefer("light");
        browser.requests();
        browser.open_file(html);
        browser.wait_for("return document.readyState === 'complete'");
        assert_eq!(browser.console(), Vec::<String>::new(), "{}", html.display());
        let requests = browser.requests();
        assert!(requests.len() == 1 && requests[0].starts_with("file://"), "{requests:?}");
        Self { browser, json: read_json(&html.with_extension("json")) }
    }

    /// Every figure is that of the JSON, in the value that is sorted by and in what is seen; there are at least
    /// so many.
    #[track_caller]
    fn assert_figures(&self, at_least: usize) {
        let figures = self.browser.script(
            "return Array.from(document.querySelectorAll('[data-figure]'),
                 e => [e.dataset.figure, e.dataset.value, e.textContent])",
        );
        let figures = figures.as_array().expect("a list").clone();
        assert!(figures.len() >= at_least, "{} figures", figures.len());
        for figure in figures {
            let [pointer, value, shown] =
                [0, 1, 2].map(|part| figure[part].as_str().expect("text"));
            let known = self.json.pointer(pointer).and_then(Value::as_f64);
            // The JSON is read back less exactly than it is written.
            let is_same = |known: f64| {
                value.parse().is_ok_and(|value: f64| (value - known).abs() <= known.abs() * 1e-9)
            };
            assert!(known.is_some_and(is_same), "{pointer}: {value} in {:#}", self.json);
            let is_plain = shown.chars().all(|c| c.is_ascii_digit() || c == ',');
            let is_whole = known.is_some_and(|known| known.fract() == 0.0);
            if is_plain && is_whole {
                assert_eq!(shown.replace(',', ""), value, "{pointer}");
            }
        }
        let verdicts = self.browser.texts(".verdict");
        let equations = self.json["equations"].as_array().expect("there are equations");
        assert_eq!((verdicts.len(), &self.json["adds_up"]), (equations.len(), &json!(true)));
        assert!(verdicts.iter().all(|verdict| verdict == "✓ yes"), "{verdicts:?}");
    }

    /// Every table sorts by every column, up and down, numbers as numbers; nothing gets lost.
    #[track_caller]
    fn assert_sorts(&self) {
        let script = r#"
            const wrong = [];
            let clicked = 0;
            for (const table of document.querySelectorAll("table")) {
                Array.from(table.tHead.rows[0].cells).forEach((head, column) => {
                    const rows = () => Array.from(table.tBodies[0].rows);
                    const before = rows().length;
                    for (const _ of [1, 2]) {
                        head.querySelector("button").click();
                        clicked += 1;
                        const order = head.getAttribute("aria-sort");
                        const sign = { ascending: 1, descending: -1 }[order];
                        const cells = rows().map((row) => row.cells[column]);
                        const compare = (a, b) => a.dataset.value !== undefined
                            ? Number(a.dataset.value) - Number(b.dataset.value)
                            : a.textContent.localeCompare(b.textContent, "en", { numeric: true });
                        cells.slice(1).forEach((cell, n) => {
                            if (!(sign * compare(cells[n], cell) <= 0)) wrong.push([head.textContent, order, n]);
                        });
                        if (cells.length !== before) wrong.push([head.textContent, "rows"]);
                    }
                });
            }
            return { clicked, wrong };"#;
        let sorted = self.browser.script(script);
        assert_eq!(sorted["wrong"], json!([]));
        assert!(sorted["clicked"].as_u64() > Some(4), "{sorted}");
    }

    /// Sorted by a mouse, once down and once up.
    #[track_caller]
    fn assert_clicks_sort(&self, section: &str, column: usize) {
        let values = || {
            let cells = format!("{section} tbody tr td:nth-child({column})");
            let values = self.browser.script(&format!(
                "return Array.from(document.querySelectorAll({}), e => Number(e.dataset.value))",
                json!(cells)
            ));
            serde_json::from_value::<Vec<f64>>(values).expect("numbers")
        };
        let button = format!("{section} th:nth-child({column}) button");
        self.browser.click(&button);
        let down = values();
        assert!(down.len() > 4 && down.is_sorted_by(|a, b| a >= b), "{down:?}");
        self.browser.click(&button);
        let mut up = down;
        up.reverse();
        assert_eq!(values(), up);
    }

    /// It fits a phone, is dark where that is preferred, and can be printed.
    #[track_caller]
    fn assert_fits_everywhere(&self) {
        let ground = "return getComputedStyle(document.body).backgroundColor";
        let light = self.browser.script(ground);
        self.browser.prefer("dark");
        let dark = self.browser.script(ground);
        assert_ne!(light, dark);
        self.browser.resize(PHONE, 844);
        let widths = "return [document.documentElement.scrollWidth, innerWidth]";
        assert_eq!(self.browser.script(widths), json!([PHONE, PHONE]));
        let pdf = self.browser.devtools("Page.printToPDF", &json!({}));
        assert!(pdf["data"].as_str().is_some_and(|data| data.starts_with("JVBERi0")), "no PDF");
        assert_eq!(self.browser.console(), Vec::<String>::new());
    }

    /// Ids that are markup are seen as the text that they are.
    #[track_caller]
    fn assert_text(&self, texts: &[&str]) {
        let body = self.browser.text("body");
        for text in texts {
            assert!(body.contains(text), "no {text} in {body}");
        }
        let foreign = "return [document.scripts.length, document.images.length, document.title]";
        let foreign = self.browser.script(foreign);
        assert_eq!((&foreign[0], &foreign[1]), (&json!(1), &json!(0)));
        assert!(!foreign[2].as_str().is_none_or(|title| title.contains("taken over")), "{foreign}");
    }
}

#[test]
fn every_report_is_a_page_with_the_figures_of_its_json() {
    let applied = Applied::loaded("reports");
    let Applied { world, pairs, run } = &applied;
    let browser = Browser::start();

    let planned = world.path("plan");
    Call::new(&["plan", pairs.to_str().expect("UTF-8")]).with("--run-dir", &planned).run().exits(3);
    let page = Page::open(&browser, &planned.join("report.html"));
    page.assert_figures(12);
    page.assert_text(&[IMAGE, "tributary apply ", "Planned, with rejected lines"]);
    page.assert_sorts();
    page.assert_fits_everywhere();
    inspect(&applied, &browser);

    apply(&applied, &browser);
    verify(&applied, &browser);
    undo(&applied, &browser);
    drop(page);
    assert!(run.join("report.html").is_file());
}

/// The page of a plan that has read the cluster.
fn inspect(applied: &Applied, browser: &Browser) {
    let Applied { world, pairs, .. } = applied;
    let run = world.path("inspected");
    Call::new(&["plan", pairs.to_str().expect("the tests use UTF-8")])
        .with("--inspect", "all")
        .with("--hosts", &world.addresses.hosts)
        .with("--keyspace", &world.keyspace)
        .with("--run-dir", &run)
        .run()
        .exits(3);
    let page = Page::open(browser, &run.join("report.html"));
    page.assert_figures(60);
    // Both contents of a source: one is held by its target already.
    assert_eq!(page.json["inspection"]["tables"][0]["copied"]["value"].as_u64(), Some(GROUPS));
    page.assert_text(&[
        SCRIPT,
        IMAGE,
        "What a merge would do",
        "Hottest partitions",
        "What it takes",
    ]);
    page.assert_sorts();
    page.assert_fits_everywhere();
}

fn apply(applied: &Applied, browser: &Browser) {
    let Applied { world, pairs, run } = applied;
    let proxy = Proxy::with(&world.addresses.hosts, |request, _| {
        let is_refused = request.writes() && request.binds(SCRIPT);
        if is_refused { Fate::Refuse(INVALID) } else { Fate::Pass }
    });
    let call = world.apply(pairs, run).with("--hosts", &proxy.hosts).with("--rate", "20");
    call.run().exits(3);
    let page = Page::open(browser, &run.join("report.html"));
    assert_adds_up(&page.json, GROUPS - 1);
    page.assert_figures(80);
    let go_on = format!("tributary resume {}", run.display());
    page.assert_text(&[SCRIPT, IMAGE, "a fault that the test asked for", &go_on]);
    let titles = browser.texts("figure svg > title");
    assert_eq!(titles[0], "Groups done", "{titles:?}");
    assert!(titles.iter().any(|title| title == "How long things took"), "{titles:?}");
    assert!(browser.texts("figure svg text").iter().any(|text| text.contains("p99")));
    page.assert_clicks_sort("#latency", 6);
    page.assert_sorts();
    page.assert_fits_everywhere();

    // Nine groups each lead to the first four batches, eight to the others; that of the script failed in the sixth.
    let hottest = page.json["hottest"].as_array().expect("a list").iter();
    let counts: Vec<_> = hottest.map(|hot| (&hot["partition"], &hot["groups"])).collect();
    assert_eq!((counts.len(), counts[0]), (7, (&json!("b0"), &json!(9))), "{counts:?}");

    let finished = world.resume(run).run().exits(3);
    let page = Page::open(browser, &run.join("report.html"));
    assert_eq!(finished.json(), page.json);
    assert_eq!(page.json["groups"]["done"], GROUPS);
    page.assert_figures(60);
    page.assert_text(&[IMAGE, "tributary undo ", "tributary verify "]);
}

/// What is told of the whole is told of its parts.
#[track_caller]
fn assert_adds_up(report: &Value, groups: u64) {
    let intervals = report["timeline"].as_array().expect("there is a timeline");
    let sum = |name: &str| -> u64 { intervals.iter().filter_map(|i| i[name].as_u64()).sum() };
    assert!(intervals.len() >= 3, "{intervals:?}");
    assert_eq!((sum("groups"), sum("retries")), (groups, report["retries"].as_u64().unwrap_or(9)));
    let mut requests = 0;
    for operation in report["latency"].as_array().expect("there are latencies") {
        let histogram = operation["histogram"].as_object().expect("there is a histogram");
        let counts: u64 = histogram.values().filter_map(Value::as_u64).sum();
        assert_eq!(counts, operation["count"], "{operation:#}");
        let name = operation["lane"].as_str().expect("a name");
        if !["journal commit", "event delivery", "whole group"].contains(&name) {
            requests += counts;
        }
    }
    assert_eq!(sum("requests"), requests);
}

fn verify(applied: &Applied, browser: &Browser) {
    let clean = applied.command("verify").run().exits(0);
    let html = applied.run.join("verify.html");
    let page = Page::open(browser, &html);
    assert_eq!(
        (page.json["version"].clone(), browser.text("#outcome")),
        (json!(2), "No difference".into())
    );
    assert_eq!(clean.json(), page.json);
    page.assert_figures(25);

    applied.world.cql("DELETE FROM user_courses WHERE batchid = 'b1' AND userid = 'to-1'");
    applied.world.cql(&format!(
        "INSERT INTO content_consumption (userid, contentid, batchid, courseid, status) \
         VALUES ('{}', 'later', 'b5', 'course', 1)",
        SCRIPT.replace('\'', "''")
    ));
    applied.command("verify").run().exits(4);
    let page = Page::open(browser, &html);
    page.assert_figures(25);
    page.assert_text(&[SCRIPT, "1 difference", "row-missing", "changed-since", " --repair"]);
    page.assert_sorts();
    page.assert_fits_everywhere();
}

fn undo(applied: &Applied, browser: &Browser) {
    // A row that the run copied.
    applied.world.cql(
        "UPDATE content_consumption SET grade = 'changed since' \
         WHERE userid = 'to-2' AND contentid = 'c2' AND batchid = 'b2' AND courseid = 'course'",
    );
    applied.command("undo").run().exits(4);
    let page = Page::open(browser, &applied.run.join("undo.html"));
    page.assert_figures(25);
    page.assert_text(&["changed since", "Conflicts", "Taken back, but for what was changed since"]);
    page.assert_sorts();
    page.assert_fits_everywhere();
}
