//! People at `stopline-fleet serve`: who comes in, who may what, what is refused and written down, and the pages in a browser.
#![cfg(feature = "serve")]
#![allow(clippy::unwrap_used)] // what cannot be prepared fails the test

mod browser;
mod desk;
mod house;
mod needs;

use std::path::PathBuf;
use std::process::Command;

use browser::{Browser, chromium};
use desk::{Desk, served};
use house::{House, PASSWORD, Person, counted};
use serde_json::json;
use stopline_depot::rollout::{Rollout, State};
use stopline_fleet::rollouts;

/// A server with a repository, a roll-out at 1 %, and the online keys.
fn steered() -> (Desk, House) {
    steered_from(&desk::start("stop-sign", "r-1"))
}

fn steered_from(start: &rollouts::Start) -> (Desk, House) {
    let now = jiff::Timestamp::now();
    let desk = Desk::begun(now);
    desk.release("stop-sign", "1.0.0", now).unwrap();
    rollouts::start(&desk.store, &desk.root(), &desk.signers(), start, now).unwrap();
    let online = desk.folder.path().join("online");
    std::fs::create_dir_all(&online).unwrap();
    for role in ["rollout", "snapshot", "timestamp"] {
        let pem = desk::key(role).to_unencrypted_pem().unwrap();
        std::fs::write(online.join(format!("{role}.pem")), pem.as_bytes()).unwrap();
    }
    let root = desk.folder.path().join("root.json");
    std::fs::write(&root, desk.root()).unwrap();
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    let house = House::with(&[
        "--repository",
        &text(desk.folder.path().join("repository")),
        "--root",
        &text(root),
        "--online",
        &text(online),
    ]);
    (desk, house)
}

fn published(desk: &Desk) -> Rollout {
    rollouts::read(&desk.store, &desk.published(), "stop-sign").unwrap().unwrap()
}

fn step_fields(desk: &Desk) -> [(&'static str, String); 2] {
    let rollout = published(desk);
    [("rollout_id", rollout.rollout_id), ("percent_bp", rollout.targets["board"].percent_bp.to_string())]
}

fn steer(desk: &Desk, person: &mut Person, step: &str) -> house::Page {
    let fields = step_fields(desk);
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    person.post_really(&format!("/rollouts/stop-sign/{step}"), &fields)
}

/// The picture of the one-time code's secret, painted and read by OpenCV. It is held at several distances, as a person would:
/// of 300 secrets OpenCV 5.0 did not find 15 at this size, and each at some size.
fn read_by_a_camera(page: &str) {
    let between = |text: &str, before: &str, after: &str| -> String {
        let rest = text.split(before).nth(1).unwrap_or_else(|| panic!("no {before} in {text}"));
        rest.split(after).next().unwrap().to_owned()
    };
    let side: usize = between(page, "viewBox=\"0 0 ", " ").parse().unwrap();
    let scale = 8;
    let mut grey = vec![255_u8; side * side * scale * scale];
    for module in between(page, "<path d=\"", "\"").split('M').skip(1) {
        let (x, y) = module.trim_end_matches("h1v1h-1z").split_once(' ').unwrap();
        let (x, y): (usize, usize) = (x.parse().unwrap(), y.parse().unwrap());
        for row in y * scale..(y + 1) * scale {
            let begin = row * side * scale + x * scale;
            grey[begin..begin + scale].fill(0);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qr.pgm");
    let mut file = format!("P5 {0} {0} 255\n", side * scale).into_bytes();
    file.extend(grey);
    std::fs::write(&path, file).unwrap();
    let script = "import cv2, sys\n\
        picture = cv2.imread(sys.argv[1])\n\
        reader = cv2.QRCodeDetector()\n\
        sizes = [cv2.resize(picture, None, fx=f, fy=f, interpolation=cv2.INTER_AREA) for f in (1, 0.5, 0.75, 1.25, 1.6, 2)]\n\
        looks = sizes + [cv2.GaussianBlur(one, (0, 0), 3) for one in sizes]\n\
        print(next(filter(None, (reader.detectAndDecode(one)[0] for one in looks)), ''))";
    let output =
        std::process::Command::new(needs::python()).args(["-c", script]).arg(&path).output().unwrap();
    if !output.status.success() {
        return needs::skip("no OpenCV to read the QR code with").unwrap_or(());
    }
    let secret = between(page, "id=\"totp\">", "<");
    let read = String::from_utf8(output.stdout).unwrap();
    assert_eq!(read.trim(), format!("otpauth://totp/Stopline:admin?secret={secret}&issuer=Stopline"));
}

#[test]
fn the_first_person_comes_by_the_link_and_nobody_comes_by_it_twice() {
    let house = House::new();
    let link = house.invitation();
    let nobody = Person::new(&house, "nobody");
    for path in ["/devices", "/registry", "/events", "/records", "/datasets", "/health", "/audit", "/people"]
    {
        let page = nobody.get(path);
        assert_eq!((page.status, page.headers["location"].to_str().unwrap()), (303, "/login"), "{path}");
    }
    read_by_a_camera(&nobody.get(&format!("/welcome?invitation={link}")).text);
    let admin = Person::welcomed(&house, "admin", &link);
    assert_eq!(admin.get("/devices").status, 200);
    assert_eq!(nobody.get(&format!("/welcome?invitation={link}")).status, 403);
    assert_eq!(nobody.get("/welcome?invitation=0000").status, 403);
    // What browsers are to hold to, on every answer.
    for page in
        [admin.get("/devices"), nobody.get("/login"), nobody.get("/nothing"), nobody.get("/style.css")]
    {
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(page.headers["x-content-type-options"], "nosniff");
        assert_eq!(page.headers["x-frame-options"], "DENY");
        assert_eq!(page.headers["cache-control"], "no-store");
    }
    // Logged out is logged out, for whoever kept the cookie too.
    assert_eq!(admin.post("/logout", &[]).status, 303);
    assert_eq!(admin.get("/devices").status, 303);
    assert_eq!(house.audited("web.log_out").len(), 1);
}

#[test]
fn a_brute_force_log_in_is_stopped_and_a_code_counts_once() {
    let house = House::new();
    let mut admin = Person::welcomed(&house, "admin", &house.invitation());
    let code = admin.code();
    let try_in = |name: &str, password: &str, code: &str| {
        let fields = [("name", name), ("password", password), ("code", code)];
        Person::new(&house, name).send("/login", &fields)
    };
    assert_eq!(try_in("admin", PASSWORD, &code).status, 303);
    assert_eq!(try_in("admin", PASSWORD, &code).status, 401, "a code that was used");
    let others = (0..4).map(|n| try_in("nobody", &format!("guess {n}"), "000000"));
    assert!(others.into_iter().all(|page| page.status == 401));
    let mut statuses = Vec::new();
    for n in 0..20 {
        statuses.push(try_in("admin", &format!("guess number {n}"), "000000").status.to_string());
    }
    let counts = counted(statuses);
    println!("20 guesses after one that failed: {counts:?}");
    assert_eq!(counts["401"], 4);
    assert_eq!(counts["429"], 16);
    // The right password does not help whoever guessed; the session that is open goes on.
    let code = admin.code();
    assert_eq!(try_in("admin", PASSWORD, &code).status, 429);
    assert_eq!(admin.get("/devices").status, 200);
    assert_eq!(house.audited("web.log_in_failed").len(), 9);
    // From another site, by another name: not at all.
    let request = admin.request("/login", &[("name", "admin")]).header("Origin", "https://evil.example");
    assert_eq!(admin.read(request).status, 403);
    let request = reqwest::blocking::Client::new()
        .get(format!("{}/login", admin.url))
        .header("Host", "rebound.example");
    assert_eq!(admin.read(request).status, 421);
}

#[test]
fn a_viewers_forged_post_gets_403_and_an_audit_line_and_changes_nothing() {
    let (desk, house) = steered();
    let mut viewer = Person::invited(&house, "vera", "viewer");
    let before = published(&desk);
    // With the right form, and with a forged one.
    let page = steer(&desk, &mut viewer, "abort");
    assert_eq!(page.status, 403, "{}", page.text);
    for path in ["/rollouts/stop-sign/pause", "/devices/token", "/people/invite", "/events/acknowledge"] {
        assert_eq!(viewer.post(path, &[("name", "x"), ("role", "publisher")]).status, 403, "{path}");
        assert_eq!(viewer.send(path, &[("name", "x")]).status, 403, "{path}");
        let forged =
            viewer.request(path, &[("csrf", &viewer.csrf())]).header("Origin", "https://evil.example");
        assert_eq!(viewer.read(forged).status, 403, "{path}");
    }
    let refused = house.audited("web.refused");
    let whys = counted(refused.iter().map(|line| line["detail"]["why"].as_str().unwrap().to_owned()));
    assert_eq!((whys["role"], whys["forged or stale form"]), (5, 8), "{whys:?}");
    assert!(refused.iter().all(|line| line["who"] == "web:vera"));
    assert_eq!(published(&desk), before);
    // Nobody at all: refused, and nothing for them to fill the log with.
    let nobody = Person::new(&house, "nobody");
    assert_eq!(nobody.send("/rollouts/stop-sign/abort", &[]).status, 403);
    assert_eq!(house.audited("web.refused").len(), refused.len());
    assert!(!viewer.get("/registry").text.contains("/rollouts/"), "a viewer is shown buttons");
    // A form that is too long.
    let long = "x".repeat(200_000);
    assert_eq!(viewer.post("/devices/token", &[("name", &long)]).status, 413);
}

#[test]
fn a_data_set_is_put_together_from_what_is_clear_and_the_list_names_just_that() {
    let house = House::new();
    let viewer = Person::invited(&house, "vera", "viewer");
    let (van, bus) = (house.device("van-7"), house.device("bus-1"));
    let put = |device: &house::Device, seq: u64, class: u8, content: &[u8]| {
        let (id, bytes) =
            device.batch_of(seq, vec![device.entry(content, class, u64::from(u32::MAX))], &[content]);
        assert_eq!(device.upload(&house, &id, &bytes).0, 200);
        stopline_depot::digest::Digest::of(content)
    };
    let fall = put(&van, 1, 9, b"a fall");
    let near = put(&van, 2, 4, b"near the threshold");
    let other = put(&bus, 1, 9, b"another fall");
    let chosen = |query: &str| {
        let page = viewer.get(&format!("/datasets/selection.json?{query}"));
        assert_eq!(
            (page.status, page.headers["content-type"].to_str().unwrap()),
            (200, "application/json"),
            "{query}"
        );
        let file = house.folder.with_file_name("selection.json");
        std::fs::write(&file, &page.text).unwrap();
        stopline_fleet::dataset::selection::read(&file).map(|selection| selection.records)
    };
    let set = |records: &[_]| records.iter().copied().collect::<std::collections::BTreeSet<_>>();
    assert_eq!(chosen("").unwrap(), set(&[fall, near, other]));
    assert_eq!(chosen("class=5").unwrap(), set(&[fall, other]));
    assert_eq!(chosen(&format!("device={}", van.id)).unwrap(), set(&[fall, near]));
    assert_eq!(chosen(&format!("device={}&device={}&class=9", van.id, bus.id)).unwrap(), set(&[fall, other]));
    assert_eq!(
        chosen(&format!("device={}&most=1", van.id)).unwrap(),
        set(&[fall]),
        "the most valuable first"
    );
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    assert_eq!(chosen(&format!("from={today}&to={today}")).unwrap().len(), 3);
    let refused = chosen("to=2020-01-01").unwrap_err();
    assert!(refused.message.contains("selects no record"), "{refused}");
    // The page counts the same, and says where to go with it.
    let page = viewer.get(&format!("/datasets?device={}", van.id));
    assert!(page.text.contains("2 records") && page.text.contains("--only selection.json"), "{}", page.text);
    for wrong in ["class=12", "from=yesterday", "most=0", "most=many"] {
        assert_eq!(viewer.get(&format!("/datasets?{wrong}")).status, 400, "{wrong}");
    }
    assert_eq!(Person::new(&house, "nobody").get("/datasets/selection.json").status, 303);
}

#[test]
fn half_of_the_fleet_takes_two_persons_and_a_pause_one() {
    let (desk, house) = steered();
    let mut anna = Person::invited(&house, "anna", "publisher");
    let mut ben = Person::invited(&house, "ben", "publisher");
    let mut olga = Person::invited(&house, "olga", "operator");
    let bp = || published(&desk).targets["board"].percent_bp;
    // An operator advances nothing, and nobody without password and code.
    assert_eq!(steer(&desk, &mut olga, "advance").status, 403);
    let fields = step_fields(&desk);
    let fields = [(fields[0].0, fields[0].1.as_str()), (fields[1].0, fields[1].1.as_str())];
    assert_eq!(anna.post("/rollouts/stop-sign/advance", &fields).status, 403);
    // Half of the fleet: anna twice is one person.
    assert_eq!(steer(&desk, &mut anna, "advance").status, 303);
    assert_eq!(bp(), 100);
    assert!(ben.get("/registry").text.contains("anna wants to advance r-1"));
    assert_eq!(steer(&desk, &mut anna, "advance").status, 303);
    assert_eq!(bp(), 100);
    assert_eq!(steer(&desk, &mut ben, "advance").status, 200);
    assert_eq!(bp(), 5_000);
    // What one looked at is not what is there now.
    let stale = [("rollout_id", "r-1"), ("percent_bp", "100")];
    assert_eq!(ben.post_really("/rollouts/stop-sign/abort", &stale).status, 409);
    assert_eq!(bp(), 5_000);
    // To pause takes one, and an operator may.
    assert_eq!(steer(&desk, &mut olga, "pause").status, 200);
    assert_eq!(published(&desk).state, State::Paused);
    let whats = counted(house.audit().iter().map(|line| line["what"].as_str().unwrap().to_owned()));
    assert_eq!(
        (whats["rollout.advance.first_of_two"], whats["rollout.advance"], whats["rollout.pause"]),
        (2, 1, 1)
    );
    // No key but the three online ones is anywhere near.
    let (code, out, _) = house.fleet(&format!("audit verify {}/audit.jsonl", house.folder.display()));
    assert_eq!(code, 0, "{out}");
}

#[test]
fn a_script_in_a_devices_name_is_a_text() {
    let house = House::new();
    let device = house.device("van-7");
    let script = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
    let admin = Person::welcomed(&house, "admin", &house.invitation());
    let path = format!("/devices/{}/name", device.id);
    assert_eq!(admin.post(&path, &[("name", script)]).status, 303);
    let event = device.message(
        2,
        "event",
        json!({
            "id": script, "change": "new", "subject": "fault", "cause": script, "name": script,
            "made_wall": "2026-11-22T06:00:00.000000Z",
        }),
    );
    let birth = device.message(
        1,
        "birth",
        json!({
            "agent": script, "hardware": script, "configuration": "00".repeat(32), "name": script,
            "models": [{"name": script, "model": script, "version": script}],
        }),
    );
    let drift = device.message(3, "drift", json!({"what": script}));
    let (status, said) = device.say(&house, &[birth, event, drift]);
    assert_eq!((status, said["receipts"].as_array().unwrap().len()), (200, 3));
    // In another's words: a log-in name, a reason.
    let name = [("name", script), ("password", "x"), ("code", "000000")];
    assert_eq!(Person::new(&house, "x").send("/login", &name).status, 401);
    for path in ["/devices", &format!("/devices/{}", device.id), "/events", "/health", "/audit", "/records"] {
        let page = admin.get(path);
        assert_eq!(page.status, 200);
        assert!(!page.text.contains("<script>alert") && !page.text.contains("<img"), "{path}: {}", page.text);
        let tells = page.text.contains("&lt;script&gt;alert");
        assert!(tells || path == "/records", "{path} does not show it: {}", page.text);
    }
    for wrong in ["", "a\u{1b}[2J", "line\nbreak", &"x".repeat(81)] {
        assert_eq!(admin.post(&path, &[("name", wrong)]).status, 400, "{wrong:?}");
    }
}

#[test]
fn an_event_is_acknowledged_once_by_who_may_and_not_after_its_end() {
    let house = House::new();
    let device = house.device("room-3");
    let olga = Person::invited(&house, "olga", "operator");
    let events = [
        device.event(1, "fall-1", "new"),
        device.event(2, "fall-2", "new"),
        device.event(3, "fall-2", "over"),
    ];
    assert_eq!(device.say(&house, &events).0, 200);
    let acknowledge = |seq: &str| {
        olga.post("/events/acknowledge", &[("device", &device.id), ("boot_id", "boot-1"), ("seq", seq)])
            .status
    };
    assert_eq!(acknowledge("9"), 404, "before it happens");
    assert_eq!(acknowledge("1"), 303);
    assert_eq!(acknowledge("1"), 409);
    assert_eq!(acknowledge("2"), 409, "after its end");
    let line = &house.audited("events.acknowledge")[0];
    assert_eq!((&line["who"], &line["detail"]["event"]), (&json!("web:olga"), &json!("fall-1")));
    assert!(olga.get("/events").text.contains("olga, <time"));
}

/// Sends browsers on to the server with somebody's session: a browser that only dumps pages cannot log in.
struct Way {
    url: String,
}

impl Way {
    fn new(person: &Person) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (server, cookie) = (person.url.clone(), person.cookie.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (server, cookie) = (server.clone(), cookie.clone());
                std::thread::spawn(move || drop(pass(stream, &server, &cookie)));
            }
        });
        Self { url }
    }
}

fn pass(mut stream: std::net::TcpStream, server: &str, cookie: &str) -> std::io::Result<()> {
    use std::io::{BufRead as _, Write as _};
    let mut reader = std::io::BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let path = first.split_whitespace().nth(1).unwrap_or("/");
    let client = reqwest::blocking::Client::new();
    let answer = client
        .get(format!("{server}{path}"))
        .header("Cookie", cookie)
        .send()
        .map_err(std::io::Error::other)?;
    let mut head = format!("HTTP/1.1 {}\r\nConnection: close\r\n", answer.status());
    for name in ["content-type", "content-security-policy", "x-content-type-options", "cache-control"] {
        if let Some(value) = answer.headers().get(name) {
            head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap_or_default()));
        }
    }
    let body = answer.bytes().map_err(std::io::Error::other)?;
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)
}

#[test]
fn every_page_stands_in_a_browser_without_complaint_and_fits_a_narrow_screen() {
    let Some(chromium) = chromium() else { return };
    let (_desk, house) = steered();
    let device = house.device("van-7");
    let admin = Person::welcomed(&house, "admin", &house.invitation());
    fill(&house, &device);
    let way = Way::new(&admin);
    let shots = std::env::var_os("STOPLINE_SCREENSHOTS").map(PathBuf::from);
    let one = format!("/devices/{}", device.id);
    let pages = [
        ("devices", "/devices", "van-7"),
        ("device", one.as_str(), "Certificate until"),
        ("registry", "/registry", "Advance stop-sign"),
        ("events", "/events", "Acknowledge"),
        ("records", "/records", "unknown (sealed)"),
        ("datasets", "/datasets?class=3", "id=\"selection\""),
        ("health", "/health", "<polyline"),
        ("audit", "/audit", "the chain holds"),
        ("people", "/people", "Invite"),
        ("login", "/login", "Log in"),
    ];
    let profile = tempfile::tempdir().unwrap();
    let run = |arguments: &[String]| {
        let usual = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
            "--virtual-time-budget=2000",
        ];
        let output = Command::new(&chromium)
            .args(usual)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(arguments)
            .output()
            .unwrap();
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        let complaints: Vec<_> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
        assert!(complaints.is_empty(), "{arguments:?}: {complaints:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for (name, path, expected) in pages {
        let url = format!("{}{path}", way.url);
        let dom = run(&["--dump-dom".into(), url.clone()]);
        assert!(dom.contains(expected), "{path}: {expected} is not in\n{dom}");
        // The script ran: times are the reader's.
        assert!(name == "login" || !dom.contains(" UTC</time>"), "{path}: the script did not run\n{dom}");
        let Some(folder) = &shots else { continue };
        for (kind, size, dark) in
            [("wide", "1200,1400", false), ("narrow", "500,1600", false), ("dark", "1200,1400", true)]
        {
            let mut arguments = vec![
                format!("--screenshot={}", folder.join(format!("{name}-{kind}.png")).display()),
                format!("--window-size={size}"),
                url.clone(),
            ];
            if dark {
                arguments.insert(0, "--blink-settings=preferredColorScheme=0".into());
            }
            run(&arguments);
        }
    }
}

/// Somebody logs in by the keyboard alone.
fn logs_in(browser: &mut Browser, house: &House, person: &mut Person) {
    browser.go(&format!("{}/login", house.people));
    for (field, text) in
        [("name", person.name.clone()), ("password", PASSWORD.to_owned()), ("code", person.code())]
    {
        let selector = format!("input[name={field}]");
        if browser.ask(&format!("document.activeElement.matches({})", json!(selector))) != true {
            browser.tab_to(&selector);
        }
        browser.write(&text);
    }
    browser.press("Enter");
    browser.until("document.readyState === 'complete' && location.pathname === '/devices'");
}

/// What a person can act on, numbered so that it is known again.
const ACTIONS: &str = "(() => { for (const one of document.querySelectorAll('details')) one.open = true; \
    const all = [...document.querySelectorAll('a[href], button, summary, select, textarea, input:not([type=hidden]):not([hidden])')]; \
    all.forEach((one, at) => { one.dataset.at = at; }); \
    return all.map(one => one.outerHTML.slice(0, 120)); })()";
/// Where the focus is, whether that can be seen, and whether it lies on the screen.
const FOCUS: &str = "(() => { const one = document.activeElement; const style = getComputedStyle(one); \
    const box = one.getBoundingClientRect(); \
    return {at: one.dataset.at === undefined ? null : Number(one.dataset.at), \
        seen: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2, \
        within: box.width > 0 && box.left >= -1 && box.right <= innerWidth + 1}; })()";

#[test]
fn every_page_fits_360_pixels_and_every_action_is_reached_by_the_keyboard_and_seen() {
    let Some(chromium) = chromium() else { return };
    let (_desk, house) = steered();
    let device = house.device("van-7");
    let mut admin = Person::welcomed(&house, "admin", &house.invitation());
    fill(&house, &device);
    let shots = std::env::var_os("STOPLINE_SCREENSHOTS").map(PathBuf::from);
    let mut browser = Browser::start(&chromium);
    browser.size(360, 740);
    let mut looked = vec!["/login".to_owned()];
    look_at(&mut browser, &house, "/login", shots.as_deref());
    logs_in(&mut browser, &house, &mut admin);
    let one = format!("/devices/{}", device.id);
    for path in
        ["/devices", &one, "/registry", "/events", "/records", "/datasets", "/health", "/audit", "/people"]
    {
        look_at(&mut browser, &house, path, shots.as_deref());
        looked.push(path.to_owned());
    }
    // Whatever the menu leads to was looked at.
    for href in
        browser.ask("[...document.querySelectorAll('nav a')].map(a => a.pathname)").as_array().unwrap()
    {
        assert!(looked.iter().any(|path| href == path), "{href}");
    }
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}

fn look_at(browser: &mut Browser, house: &House, path: &str, shots: Option<&std::path::Path>) {
    browser.go(&format!("{}{path}", house.people));
    let actions = browser.ask(ACTIONS);
    let actions = actions.as_array().unwrap();
    if let Some(folder) = shots {
        browser.picture(&folder.join(format!("{}-360.png", path.trim_matches('/').replace('/', "-"))));
    }
    let [width, view] = ["document.documentElement.scrollWidth", "document.documentElement.clientWidth"]
        .map(|one| browser.ask(one).as_u64().unwrap());
    assert!(width <= view, "{path}: {width} pixels on a screen of {view}");
    let mut missed = actions.clone();
    for _ in 0..actions.len() + 5 {
        browser.press("Tab");
        let focus = browser.ask(FOCUS);
        let Some(at) = focus["at"].as_u64() else { continue };
        let action = &actions[usize::try_from(at).unwrap()];
        assert!(focus["seen"] == true && focus["within"] == true, "{path}: {focus} {action}");
        missed[usize::try_from(at).unwrap()] = json!(null);
    }
    missed.retain(|action| !action.is_null());
    assert!(missed.is_empty(), "{path}: Tab does not come to {missed:?}");
    println!("{path}: {} actions by Tab, {width} pixels wide", actions.len());
}

/// A real agent beside this test, and one poll of it: where its deployment has come.
struct Agent {
    folder: tempfile::TempDir,
    program: PathBuf,
}

impl Agent {
    fn new(desk: &Desk, url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("trust")).unwrap();
        std::fs::write(at("trust/root.json"), desk.root()).unwrap();
        std::fs::write(at("trust/floor.json"), r#"{"schema": 1, "models": {}}"#).unwrap();
        std::fs::write(at("trust/deny.json"), r#"{"schema": 1, "digests": []}"#).unwrap();
        let text = format!(
            "repository = {url:?}\nhardware = 'board'\nmodels = ['stop-sign']\nhome = {:?}\ndepot = {:?}\nstate = {:?}\ntrust = {:?}\n\
             [device]\nnetwork = 'wifi'\nsynchronised_file = {:?}\n",
            at("home"),
            at("depot"),
            at("state"),
            at("trust"),
            at("trust/root.json"),
        );
        std::fs::write(at("agent.toml"), text).unwrap();
        Self { folder, program: desk::program::agent() }
    }

    fn polls(&self) -> serde_json::Value {
        let mut command = Command::new(&self.program);
        command.args(["check-now", "--json", "--config"]).arg(self.folder.path().join("agent.toml"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        status["models"]["stop-sign"]["deployment"]["phase"].clone()
    }

    /// What the runtime is told of the roll-out.
    fn offered(&self) -> serde_json::Value {
        let path = self.folder.path().join("depot/offers/stop-sign.json");
        std::fs::read(path).map_or(json!(null), |bytes| {
            serde_json::from_slice::<serde_json::Value>(&bytes).unwrap()["state"].clone()
        })
    }
}

#[test]
fn somebody_presses_pause_and_what_is_signed_holds_real_agents() {
    let Some(chromium) = chromium() else { return };
    let stages = vec![stopline_depot::rollout::Stage { bp: 10_000, min_dwell_s: 0 }];
    let (desk, house) = steered_from(&rollouts::Start { stages, ..desk::start("stop-sign", "r-1") });
    let mut olga = Person::invited(&house, "olga", "operator");
    let url = served::serve(desk.folder.path().join("repository"));
    let (early, late) = (Agent::new(&desk, &url), Agent::new(&desk, &url));
    assert_eq!((early.polls(), early.offered()), (json!("staged"), json!("active")));

    let mut browser = Browser::start(&chromium);
    logs_in(&mut browser, &house, &mut olga);
    browser.go(&format!("{}/registry", house.people));
    browser.tab_to("summary");
    assert_eq!(browser.ask("document.activeElement.textContent"), "Pause…");
    browser.press("Enter");
    browser.tab_to("details[open] input[name=password]");
    browser.write(PASSWORD);
    browser.tab_to("details[open] input[name=code]");
    browser.write(&olga.code());
    browser.tab_to("details[open] button");
    assert_eq!(browser.ask("document.activeElement.textContent"), "Pause stop-sign");
    browser.press("Enter");
    browser.until("document.readyState === 'complete' && document.body.innerText.includes('rollout.pause is signed and published')");
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);

    // Signed: `published` verifies every signature by the root that devices have.
    assert_eq!(published(&desk).state, State::Paused);
    assert_eq!(house.audited("rollout.pause")[0]["who"], json!("web:olga"));
    assert_eq!((early.polls(), early.offered()), (json!("staged"), json!("paused")), "what has begun holds");
    assert_eq!((late.polls(), late.offered()), (json!(null), json!(null)), "nothing begins");
    desk.step("stop-sign", rollouts::Step::Advance, jiff::Timestamp::now()).unwrap();
    assert_eq!(
        (late.polls(), late.offered()),
        (json!("staged"), json!("active")),
        "it was the pause that held it"
    );
    assert_eq!((early.polls(), early.offered()), (json!("staged"), json!("active")));
}

/// What a day on the road leaves.
fn fill(house: &House, device: &house::Device) {
    let birth = json!({
        "agent": "0.1.0", "runtime": "0.1.0", "name": "van-7", "hardware": "board", "configuration": "ab".repeat(32),
        "cameras": ["front"], "models": [{"name": "stop-sign", "model": "stop-sign", "version": "1.0.0"}],
    });
    let state = json!({"runtime": "degraded", "cause": "camera_lost", "models": []});
    let mut messages = vec![
        device.message(1, "birth", birth),
        device.message(2, "state", state),
        device.event(3, "fall-1", "new"),
        device.message(4, "drift", json!({"what": "brightness", "psi_permille": 310})),
    ];
    messages.extend((0..24_u64).map(|n| {
        let stats = json!({
            "span_s": 600, "uptime_s": 600 * n, "cpu": 0.3 + 0.02 * f64::from(u32::try_from(n % 7).unwrap()),
            "temperature_c": 51.5 + f64::from(u32::try_from(n % 5).unwrap()), "throttled": n > 20,
            "latencies": {"infer": {"count": 18_000, "p50_us": 16_384, "p99_us": 32_768, "max_us": 40_000 + n}},
        });
        device.message(10 + n, "stats", stats)
    }));
    assert_eq!(device.say(house, &messages).0, 200);
    let (id, bytes) = device.batch(50, &[b"a sealed picture", &[7; 90_000]]);
    assert_eq!(device.upload(house, &id, &bytes).0, 200);
}
