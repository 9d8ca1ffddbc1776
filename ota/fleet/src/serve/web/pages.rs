//! The pages. Whatever comes from outside is escaped where it is put in: maud does so for every text.

pub mod audit;
pub mod datasets;
pub mod devices;
pub mod events;
pub mod health;
pub mod people;
pub mod records;
pub mod registry;

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, html};

use super::visitor::Visitor;

const PAGES: [(&str, &str); 8] = [
    ("Devices", "/devices"),
    ("Registry", "/registry"),
    ("Events", "/events"),
    ("Records", "/records"),
    ("Datasets", "/datasets"),
    ("Health", "/health"),
    ("Audit", "/audit"),
    ("People", "/people"),
];

/// A page for who is not logged in.
pub fn bare(title: &str, content: Markup) -> Markup {
    document(title, html! { main id="content" { (content) } })
}

/// A page within the menu.
pub fn page(visitor: &Visitor, current: &str, title: &str, content: Markup) -> Markup {
    document(
        title,
        html! {
            a class="skip" href="#content" { "To the content" }
            header {
                nav aria-label="Pages" {
                    ul { @for (name, path) in PAGES {
                        li { a href=(path) aria-current=[(name == current).then_some("page")] { (name) } }
                    } }
                }
                form method="post" action="/logout" class="inline" {
                    (csrf(visitor))
                    span { (visitor.person.name) " (" (visitor.person.role.word()) ")" }
                    button class="quiet" { "Log out" }
                }
            }
            main id="content" tabindex="-1" { h1 { (title) } (content) }
        },
    )
}

fn document(title: &str, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Stopline fleet" }
                link rel="stylesheet" href="/style.css";
                script src="/script.js" defer {}
            }
            body { (body) }
        }
    }
}

/// What makes a form ours.
pub fn csrf(visitor: &Visitor) -> Markup {
    html! { input type="hidden" name="csrf" value=(visitor.csrf); }
}

/// Password and code once more.
pub fn once_more(visitor: &Visitor) -> Markup {
    html! {
        // For those who keep passwords: whose it is. Not read.
        input type="text" name="username" value=(visitor.person.name) autocomplete="username" hidden;
        label { "Password" input type="password" name="password" autocomplete="current-password" required; }
        label { "Code" input name="code" inputmode="numeric" autocomplete="one-time-code" required pattern="[0-9 ]{6,7}" size="7"; }
    }
}

/// A time; the script shows it in the reader's own zone.
pub fn time(at_s: i64) -> Markup {
    let Ok(at) = Timestamp::from_second(at_s) else { return html! { "?" } };
    if at_s == 0 {
        return html! { "never" };
    }
    let shown = at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    html! { time datetime=(at.to_string()) { (shown) } }
}

/// A word with its level.
pub fn badge(level: &str, word: &str) -> Markup {
    html! { span class=(format!("badge {level}")) { (word) } }
}

/// Bytes, for people.
pub fn bytes(bytes: i64) -> String {
    match bytes {
        ..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{}.{} kB", bytes / 1_000, bytes % 1_000 / 100),
        1_000_000..1_000_000_000 => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
        _ => format!("{}.{} GB", bytes / 1_000_000_000, bytes % 1_000_000_000 / 100_000_000),
    }
}
