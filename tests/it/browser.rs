//! The HTML report in a real browser, headless: it opens, filters, links and says nothing on the console, and axe-core finds
//! nothing that keeps somebody out. Needs Chromium, and axe-core in `AVP_AXE`; `.ci/run` installs both and demands them with
//! `AVP_BROWSER=1`, and without them the test says that it was left out.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli::run;

/// Bound on one look at one page.
const PATIENCE: Duration = Duration::from_secs(90);

/// Text that attacks a page.
const HOSTILE: &str = "</pre></script><script>window.pwned=1</script><img src=x onerror=window.pwned=1> \" onload=\"window.pwned=1' & \u{1b}[2J\u{202e}";

/// Before everything else: what the console and the page's errors say.
const LISTEN: &str = "<script>window.said=[];for(const k of ['log','info','warn','error'])console[k]=(...a)=>said.push(k+': '+a.join(' '));\
addEventListener('error',e=>said.push('error: '+e.message));addEventListener('securitypolicyviolation',e=>said.push('policy: '+e.violatedDirective))</script>";

/// After everything else: uses the page as a reader does, and writes down what came of it.
const DRIVE: &str = r#"<script>(async()=>{
const out={},checks=[...document.querySelectorAll('details.check')],seen=()=>checks.filter(c=>!c.hidden&&c.offsetParent).length;
const form=document.getElementById('filter'),tell=e=>e.dispatchEvent(new Event('input',{bubbles:true}));
const pause=()=>new Promise(r=>setTimeout(r,50));
out.checks=checks.length;out.start=seen();
form.reset();await pause();out.all=seen();
form.elements.text.value='conflict';tell(form.elements.text);out.text=seen();
form.elements.text.value='';form.elements.level.value='should';tell(form.elements.level);out.should=seen();
form.elements.level.value='';form.elements.section.value='§6';tell(form.elements.section);out.section=seen();
form.elements.section.value='';for(const b of form.querySelectorAll('[value=pass]'))b.checked=false;tell(form);out.wrong=seen();
const hidden=checks.find(c=>c.hidden);
if(hidden){location.hash=hidden.id;await pause();out.linked=!hidden.hidden&&hidden.open&&document.activeElement===hidden.querySelector('summary')}
for(const c of document.querySelectorAll('details'))c.open=true;
out.wide=document.documentElement.scrollWidth-innerWidth;
out.pwned=window.pwned===1;
const found=await axe.run(document,{resultTypes:['violations']});
out.axe=found.violations.map(v=>v.id+': '+v.nodes.slice(0,3).map(n=>n.html.slice(0,200)).join(' | '));
out.rules=found.passes.length;out.said=said;
const pre=document.createElement('pre');pre.id='came-of-it';pre.textContent=btoa(unescape(encodeURIComponent(JSON.stringify(out))));document.body.append(pre);
})()</script>"#;

fn chromium() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|path| path.is_file())
}

/// What the browser makes of a page: its document and what it logs.
fn look(browser: &Path, page: &Path, size: &str) -> (String, String) {
    let profile = tempfile::tempdir().unwrap();
    let mut child = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr"])
        .args(["--virtual-time-budget=30000", "--dump-dom"])
        .arg(format!("--window-size={size}"))
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let read = |mut from: Box<dyn std::io::Read + Send>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = from.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let (out, err) = (read(Box::new(child.stdout.take().unwrap())), read(Box::new(child.stderr.take().unwrap())));
    let until = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > until {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the browser took longer than {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    (out.join().unwrap(), err.join().unwrap())
}

/// The page of a run of some checks, as the run itself writes it where nothing fails, with its times and races; or else the one that `merge`
/// makes of its report. `failures` of them are made to fail, with what a hostile
/// server might say.
fn report(folder: &Path, failures: usize) -> String {
    let name = |end: &str| folder.join(format!("{failures}.{end}")).display().to_string();
    let (json, html) = (name("json"), name("html"));
    let only = ["--only", "push/*", "--only", "pull/*", "--only", "create-repo/*", "--skip", "*/*1*"];
    if failures == 0 {
        let races = ["--only", "race/push-has-one-winner", "--only", "race/history-is-linearizable"];
        run(&[&["--embedded", "--report", &format!("html={html}")], &only[..], &races[..]].concat(), 0);
        return std::fs::read_to_string(html).unwrap();
    }
    run(&[&["--embedded", "--report", &format!("json={json}")], &only[..]].concat(), 0);
    let mut saved: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let body = json!({ "text": format!("{{\"error\":\"{HOSTILE}\",\"n\":[1,2]}}"), "length": 9999 });
    let exchange = json!({
        "operation": "push", "method": "POST", "path": "/v1/repos/1/push", "authorization": "Bearer e30…",
        "request": { "text": "{\"repoId\":\"it's 1\"}", "length": 19 }, "status": 500, "contentType": HOSTILE,
        "response": body, "durationMs": 1.5,
    });
    let finding = json!({ "expected": "version 2 and epoch 1", "observed": format!("version 1 and epoch 1 {HOSTILE}"), "exchange": 0 });
    let passed = saved["checks"].as_array_mut().unwrap().iter_mut().filter(|check| check["status"] == "pass");
    for check in passed.take(failures) {
        check["status"] = if check["level"] == "must" { "fail" } else { "warn" }.into();
        check["message"] = HOSTILE.into();
        check["exchanges"] = json!([exchange]);
        check["findings"] = json!([finding]);
    }
    if failures > 0 {
        (saved["verdict"], saved["exitStatus"]) = ("not-conformant".into(), 1.into());
        (saved["reason"], saved["notes"], saved["target"]) =
            (HOSTILE.into(), json!([HOSTILE]), "http://127.0.0.1:1/<b>".into());
    }
    std::fs::write(&json, saved.to_string()).unwrap();
    run(&["merge", &json, "--report", &format!("html={html}")], i32::from(failures > 0));
    std::fs::read_to_string(html).unwrap()
}

/// The page with what is needed to use it from within, which its own policy would forbid.
fn driven(page: &str, axe: &str, dark: bool) -> String {
    let policy = page.find("<meta http-equiv").unwrap()..page.find("<meta name=\"viewport\"").unwrap();
    let mut page = page.to_owned();
    page.replace_range(policy, LISTEN);
    let end = page.rfind("</body>").unwrap();
    page.insert_str(end, &format!("<script>{axe}</script>{DRIVE}"));
    if dark { page.replace("@media(prefers-color-scheme:dark)", "@media all") } else { page }
}

fn came_of_it(document: &str) -> Value {
    let start = document.find("id=\"came-of-it\">").unwrap_or_else(|| panic!("the page's driver didn't end")) + 16;
    let text = &document[start..start + document[start..].find('<').unwrap()];
    let bytes = avp_conform::codec::base64::decode(text).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn the_report_is_a_page_that_works_for_everybody() {
    let axe = std::env::var_os("AVP_AXE").and_then(|path| std::fs::read_to_string(path).ok());
    let (Some(browser), Some(axe)) = (chromium(), axe) else {
        assert!(std::env::var_os("AVP_BROWSER").is_none(), "AVP_BROWSER is set, and Chromium or AVP_AXE is missing");
        eprintln!("LEFT OUT: it needs Chromium, and axe.min.js of the npm package axe-core in AVP_AXE");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for (failures, dark, size) in
        [(0, false, "1280,900"), (1, true, "400,800"), (60, false, "400,800"), (60, true, "1280,900")]
    {
        let page = report(folder.path(), failures);
        let path = folder.path().join("page.html");
        std::fs::write(&path, driven(&page, &axe, dark)).unwrap();
        let (document, _) = look(&browser, &path, size);
        let seen = came_of_it(&document);
        let place = format!("{failures} failures, dark {dark}, {size}: {seen:#}");
        assert_eq!((&seen["axe"], &seen["said"], &seen["pwned"]), (&json!([]), &json!([]), &json!(false)), "{place}");
        assert!(seen["rules"].as_u64() > Some(10), "{place}");
        let number = |name: &str| seen[name].as_u64().unwrap_or_else(|| panic!("{name} {place}"));
        let (checks, all) = (number("checks"), number("all"));
        assert!(checks > 60 && checks == all, "{place}");
        // At first what is wrong is shown, or all where nothing is.
        assert_eq!(number("start") == all, failures == 0, "{place}");
        for filter in ["text", "should", "section"] {
            assert!(number(filter) > 0 && number(filter) < all, "{filter} {place}");
        }
        assert!(number("wrong") < all && seen["linked"] == true, "{place}");
        assert!(seen["wide"].as_i64() <= Some(0), "{place}");
    }
    // As it is, policy and all: not a word on the console.
    let path = folder.path().join("60.html");
    let (document, log) = look(&browser, &path, "1280,900");
    assert!(!log.contains("CONSOLE"), "{log}");
    assert!(document.contains("<output id=\"shown\" aria-live=\"polite\">60 of "), "the script didn't run");
}
