//! Headless Chromium, driven through Debian's chromedriver: what a person's browser really does
//! with the pages, with script or without.
//!
//! Every [`Browser`] has its own driver on a free port and a fresh profile; both go when it does.

use std::io::{self, BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal, kill_process_group};

use super::installed;

/// How long a page may take to show what a test waits for.
const PATIENCE: Duration = Duration::from_secs(20);

const FLAGS: &[&str] = &[
    "--headless=new",
    "--no-sandbox", // tests may run as root, in a container
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-extensions",
    "--window-size=1000,760",
];

/// One browser with one tab.
pub struct Browser {
    pub client: Client,
    _driver: Driver,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts a browser, with script or without.
    ///
    /// `None` where Chromium is not installed: see [`installed::all`].
    pub async fn start(script: bool) -> Option<Self> {
        Self::start_with(script, &[]).await
    }

    /// As [`Browser::start`], with further arguments of Chromium's.
    pub async fn start_with(script: bool, more: &[String]) -> Option<Self> {
        let Some(driver) = Driver::start() else {
            installed::all(&[("chromedriver", false)]);
            return None;
        };
        let profile = tempfile::tempdir().expect("a directory for the profile");
        let mut args: Vec<String> = FLAGS.iter().map(|&flag| flag.to_owned()).collect();
        args.push(format!("--user-data-dir={}", profile.path().display()));
        args.extend_from_slice(more);
        let script = if script { 1 } else { 2 }; // 1 allow, 2 block
        let wanted = serde_json::json!({
            "browserName": "chrome",
            "goog:chromeOptions": {
                "args": args,
                "prefs": { "profile.managed_default_content_settings.javascript": script },
            },
        });
        let serde_json::Value::Object(wanted) = wanted else { unreachable!() };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(wanted)
            .connect(&driver.url)
            .await
            .unwrap_or_else(|why| panic!("chromedriver starts no browser: {why}"));
        Some(Self { client, _driver: driver, _profile: profile })
    }

    pub async fn goto(&self, url: &str) {
        self.client.goto(url).await.unwrap_or_else(|why| panic!("cannot open {url}: {why}"));
    }

    /// The element, once it is there.
    pub async fn find(&self, css: &str) -> Element {
        match self.client.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await {
            Ok(element) => element,
            Err(why) => panic!("no {css} at {}: {why}\n{}", self.url().await, self.source().await),
        }
    }

    /// Whether the page has such an element now.
    pub async fn has(&self, css: &str) -> bool {
        !self.client.find_all(Locator::Css(css)).await.expect("a selector").is_empty()
    }

    /// The element's text as a person sees it.
    pub async fn text(&self, css: &str) -> String {
        // A page that is just being left may take its elements along.
        for _ in 0..20 {
            match self.find(css).await.text().await {
                Err(why) if why.is_stale_element_reference() => {}
                text => return text.expect("an element with text"),
            }
        }
        panic!("{css} does not stay at {}", self.url().await);
    }

    pub async fn click(&self, css: &str) {
        let element = self.find(css).await;
        element.click().await.unwrap_or_else(|why| panic!("cannot click {css}: {why}"));
    }

    /// Replaces what is typed into a field.
    pub async fn fill(&self, css: &str, text: &str) {
        let field = self.find(css).await;
        field.clear().await.expect("a field");
        field.send_keys(text).await.expect("a field");
    }

    /// Waits until the address has `part` in it, and gives the address.
    pub async fn wait_for_url(&self, part: &str) -> String {
        self.wait_until(part, |url| url.contains(part)).await
    }

    /// Waits until the address is `url`, and nothing more.
    pub async fn arrive_at(&self, url: &str) {
        self.wait_until(url, |arrived| arrived == url).await;
    }

    async fn wait_until(&self, part: &str, there: impl Fn(&str) -> bool) -> String {
        let arrived = async {
            loop {
                let url = self.url().await;
                if there(&url) {
                    return url;
                }
                tokio::task::yield_now().await; // each look is a round trip to the browser
            }
        };
        if let Ok(url) = tokio::time::timeout(PATIENCE, arrived).await {
            return url;
        }
        panic!("never at {part}, still at {}\n{}", self.url().await, self.source().await);
    }

    pub async fn url(&self) -> String {
        self.client.current_url().await.expect("an address").to_string()
    }

    /// The page's markup as it stands.
    pub async fn source(&self) -> String {
        self.client.source().await.expect("a page")
    }

    /// The cookies this page's origin may see, `HttpOnly` ones too, as name and value.
    pub async fn cookies(&self) -> Vec<(String, String)> {
        let all = self.client.get_all_cookies().await.expect("cookies");
        all.into_iter().map(|c| (c.name().to_owned(), c.value().to_owned())).collect()
    }

    /// Resizes the window, in CSS pixels: 390 × 844 is a phone.
    pub async fn resize(&self, width: u32, height: u32) {
        self.client.set_window_size(width, height).await.expect("a window");
    }

    /// Goes to the tab that was just opened, once it is there.
    pub async fn newest_tab(&self) {
        let here = self.client.window().await.expect("a tab");
        let opened = async {
            loop {
                let tabs = self.client.windows().await.expect("tabs");
                if let Some(other) = tabs.into_iter().rfind(|tab| *tab != here) {
                    return other;
                }
                tokio::task::yield_now().await; // each look is a round trip to the browser
            }
        };
        let opened = tokio::time::timeout(PATIENCE, opened).await.expect("another tab");
        self.client.switch_to_window(opened).await.expect("a tab");
    }

    /// Writes a PNG of what is visible.
    pub async fn screenshot(&self, path: impl AsRef<Path>) {
        let png = self.client.screenshot().await.expect("a picture");
        std::fs::write(path, png).expect("a place for the picture");
    }

    /// Waits until such an element holds this text, among others.
    pub async fn wait_for_text(&self, css: &str, part: &str) {
        self.wait_for_element(css, part, |text| text.contains(part)).await;
    }

    /// Waits until such an element says this and nothing else: a click may return before the page
    /// it leads to is there.
    pub async fn shows(&self, css: &str, text: &str) {
        self.wait_for_element(css, text, |shown| shown == text).await;
    }

    async fn wait_for_element(&self, css: &str, expected: &str, there: impl Fn(&str) -> bool) {
        let shown = async {
            loop {
                // The page may be changing under the look: that is one more reason to look again.
                if let Ok(element) = self.client.find(Locator::Css(css)).await
                    && element.text().await.is_ok_and(|text| there(&text))
                {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        if tokio::time::timeout(PATIENCE, shown).await.is_ok() {
            return;
        }
        panic!("no {expected:?} in {css} at {}\n{}", self.url().await, self.source().await);
    }

    /// Ends the browser in good order; dropping it ends it too.
    pub async fn close(self) {
        self.client.clone().close().await.expect("the browser closes");
    }
}

/// A chromedriver of one's own. Dropping it ends it and the browser that it started.
struct Driver {
    url: String,
    process: Child,
    /// Kept open: the driver ends when what it prints goes nowhere.
    _printed: BufReader<ChildStdout>,
}

/// A driver that never listened.
struct EndedAtOnce;

impl Driver {
    /// `None` where it is not installed. One that ends at once, as it does where somebody else has
    /// taken the port that it had chosen, is started again.
    fn start() -> Option<Self> {
        const TIMES: u32 = 3;
        for _ in 0..TIMES {
            if let Ok(started) = Self::try_start() {
                return started;
            }
        }
        panic!("chromedriver ended {TIMES} times before it named its port");
    }

    fn try_start() -> Result<Option<Self>, EndedAtOnce> {
        let started = Command::new("chromedriver")
            .args(["--port=0", "--log-level=SEVERE"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0) // so that the browser can be ended with it
            .spawn();
        let mut process = match started {
            Ok(process) => process,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(why) => panic!("chromedriver does not start: {why}"),
        };
        let mut printed = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut line = String::new();
        let port = loop {
            line.clear();
            let read = printed.read_line(&mut line).expect("lines of text");
            if read == 0 {
                // Nothing is left of it but its number.
                let _ = process.wait();
                return Err(EndedAtOnce);
            }
            // "ChromeDriver was started successfully on port 45271."
            if let Some((_, port)) = line.split_once("successfully on port ") {
                break port.trim().trim_end_matches('.').to_owned();
            }
        };
        Ok(Some(Self { url: format!("http://127.0.0.1:{port}"), process, _printed: printed }))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.process.wait();
    }
}
