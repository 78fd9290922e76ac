//! The pages that a run leaves, in a real browser.

use crate::browser::Browser;

#[test]
fn the_browser_sees_what_an_operator_would() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let page = folder.path().join("page.html");
    let html = "<!doctype html><meta name=viewport content='width=device-width'>\
        <style>@media(prefers-color-scheme:dark){body{background:#000}}</style>\
        <body><button onclick='this.textContent=2;console.error(3)'>1</button><img src=http://127.0.0.1:1/>";
    std::fs::write(&page, html).expect("a file can be written");
    let browser = Browser::start();
    browser.open_file(&page);
    browser.resize(390, 844);
    assert_eq!(browser.script("return innerWidth"), 390);
    browser.click("button");
    browser.wait_for("return document.querySelector('button').innerText == '2'");
    assert_eq!((browser.text("button"), browser.texts("button")), ("2".into(), vec!["2".into()]));
    browser.prefer("dark");
    let ground = "return getComputedStyle(document.body).backgroundColor";
    assert_eq!(browser.script(ground), "rgb(0, 0, 0)");
    // The image that is not there, and what the button says.
    let (console, requests) = (browser.console(), browser.requests());
    assert_eq!((console.len(), requests.len()), (2, 2), "{console:?} {requests:?}");
}
