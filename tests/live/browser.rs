//! A real Chromium without a window, by way of its own driver: pages are looked at as an operator would.
//!
//! The driver speaks JSON over HTTP (WebDriver, and Chromium's additions to it), so that is all there is here. What a
//! test waits for is waited for in the page, never for a time.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Nothing that a page is asked for takes as long as this.
const DEADLINE: Duration = Duration::from_secs(60);

/// A browser of a test's own. It is closed when this is dropped.
pub(crate) struct Browser {
    driver: Child,
    agent: ureq::Agent,
    /// The address of the session, once there is one.
    session: String,
}

impl Browser {
    /// Starts one, with a window of a desk's size.
    pub(crate) fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "the tests need a real Chromium: chromedriver: {error} (scripts/test installs Debian's \
                     chromium and chromium-driver)"
                )
            });
        let stdout = driver.stdout.take().expect("it is piped");
        let port = port(&mut BufReader::new(stdout));
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let agent = config.timeout_global(Some(DEADLINE)).build().into();
        let mut browser =
            Self { driver, agent, session: format!("http://127.0.0.1:{port}/session") };
        let options = json!({
            // Its sandbox cannot be had as root, and it sees nothing but the pages of the tests.
            "args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"],
        });
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        });
        let body = json!({"capabilities": {"alwaysMatch": capabilities}});
        let session = browser.post("", &body);
        let id = session["sessionId"].as_str().expect("a session has an id").to_owned();
        browser.session = format!("{}/{id}", browser.session);
        browser
    }

    /// Opens a page and waits until it is loaded.
    pub(crate) fn open(&self, url: &str) {
        self.post("/url", &json!({"url": url}));
    }

    /// Opens a file.
    pub(crate) fn open_file(&self, path: &Path) {
        let path = std::fs::canonicalize(path).expect("the file is there");
        self.open(&format!("file://{}", path.display()));
    }

    /// What a script returns in the page; it is the body of a function.
    pub(crate) fn script(&self, body: &str) -> Value {
        self.post("/execute/sync", &json!({"script": body, "args": []}))
    }

    /// Waits until a script returns something true.
    #[track_caller]
    pub(crate) fn wait_for(&self, body: &str) -> Value {
        let began = Instant::now();
        loop {
            let value = self.script(body);
            if !matches!(value, Value::Null | Value::Bool(false)) {
                return value;
            }
            if began.elapsed() > DEADLINE {
                panic!("this never came true: {body}\nthe page:\n{}", self.text("body"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The text of the first element that a CSS selector finds, as it is seen.
    #[track_caller]
    pub(crate) fn text(&self, selector: &str) -> String {
        let found = format!("return document.querySelector({})?.innerText", json!(selector));
        match self.script(&found) {
            Value::String(text) => text,
            other => panic!("{selector} has no text but {other}"),
        }
    }

    /// The texts of all elements that a CSS selector finds, also of those that are not seen at the moment.
    pub(crate) fn texts(&self, selector: &str) -> Vec<String> {
        let found = format!(
            "return Array.from(document.querySelectorAll({}), e => e.textContent.trim())",
            json!(selector)
        );
        serde_json::from_value(self.script(&found)).expect("texts are texts")
    }

    /// Clicks on the first element that a CSS selector finds, as a mouse does.
    #[track_caller]
    pub(crate) fn click(&self, selector: &str) {
        let found = self.post("/element", &json!({"using": "css selector", "value": selector}));
        let element = found.as_object().and_then(|element| element.values().next()?.as_str());
        let element = element.unwrap_or_else(|| panic!("there is no {selector}: {found}"));
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    /// Takes on a screen of so many pixels, as a phone has it, and reports them at their size.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": true});
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Prefers `light` or `dark`, as the user's system would say.
    pub(crate) fn prefer(&self, scheme: &str) {
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        self.devtools("Emulation.setEmulatedMedia", &json!({"features": [feature]}));
    }

    /// What the console says since the last call: errors and warnings, of the page or of the browser about it.
    pub(crate) fn console(&self) -> Vec<String> {
        let messages = self.log("browser");
        messages.iter().map(|entry| format!("{} {}", entry["level"], entry["message"])).collect()
    }

    /// The addresses that were asked for since the last call, the page's own among them.
    pub(crate) fn requests(&self) -> Vec<String> {
        let messages = self.log("performance");
        let request = |entry: &Value| {
            let event: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let event = &event["message"];
            let is_request = event["method"] == "Network.requestWillBeSent";
            is_request.then(|| event["params"]["request"]["url"].as_str().map(str::to_owned))?
        };
        messages.iter().filter_map(request).collect()
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        let entries = self.post("/se/log", &json!({"type": kind}));
        entries.as_array().expect("a log is a list").clone()
    }

    /// A command of Chromium's own protocol.
    pub(crate) fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        let sent = self.agent.post(format!("{}{path}", self.session)).send(body.to_string());
        let mut answer = sent.unwrap_or_else(|error| panic!("chromedriver: {path}: {error}"));
        let status = answer.status();
        let text = answer.body_mut().with_config().limit(u64::MAX).read_to_string();
        let text = text.unwrap_or_else(|error| panic!("chromedriver: {path}: {error}"));
        let mut body: Value = serde_json::from_str(&text).expect("chromedriver speaks JSON");
        assert!(status.is_success(), "chromedriver: {path}: {}", body["value"]["message"]);
        body["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // With its session the browser ends; without its driver nobody would end it.
        let _ = self.agent.delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The port that the driver has found for itself, as it says at its start.
fn port(stdout: &mut impl BufRead) -> u16 {
    let mut printed = String::new();
    for line in stdout.lines() {
        let line = line.expect("the driver writes text");
        if let Some((_, port)) = line.split_once("started successfully on port ") {
            return port.trim_end_matches('.').parse().expect("a port is a number");
        }
        printed += &line;
    }
    panic!("chromedriver did not start: {printed}");
}
