//! Who may log in.

use std::sync::Arc;

use axum::extract::State;
use maud::{Markup, html};

use super::{csrf, once_more, time};
use crate::exit::{Failure, Result};
use crate::serve::database::people::Role;
use crate::serve::server::Server;
use crate::serve::web::Problem;
use crate::serve::web::visitor::Visitor;

/// A name to log in with.
///
/// # Errors
/// That it is none.
pub fn checked_name(name: &str) -> Result<&str> {
    let name = name.trim();
    let plain = |char: char| char.is_alphanumeric() || matches!(char, '.' | '-' | '_' | '@');
    if !name.is_empty() && name.chars().count() <= 80 && name.chars().all(plain) {
        return Ok(name);
    }
    Err(Failure::usage("a name has 1 to 80 letters, digits and . - _ @"))
}

pub async fn page(
    State(server): State<Arc<Server>>,
    visitor: Visitor,
) -> std::result::Result<Markup, Problem> {
    let people = server.database.people().await?;
    let publisher = visitor.person.role >= Role::Publisher;
    Ok(super::page(
        &visitor,
        "People",
        "People",
        html! {
            table class="cards" {
                thead { tr { th { "Name" } th { "Role" } th { "Since" } @if publisher { th { "" } } } }
                tbody { @for person in &people { tr {
                    td data-label="Name" { (person.name) }
                    td data-label="Role" { (person.role.word()) }
                    td data-label="Since" { (time(person.made_s)) }
                    @if publisher { td { @if person.name != visitor.person.name {
                        details { summary { "Remove…" }
                            form method="post" action="/people/remove" class="row" {
                                (csrf(&visitor))
                                input type="hidden" name="name" value=(person.name);
                                (once_more(&visitor))
                                button class="grave" { "Remove " (person.name) }
                            }
                        }
                    } } }
                } } }
            }
            p { "A viewer looks. An operator also acknowledges events, lets devices in, quarantines them and pauses a roll-out. A \
                publisher also advances and aborts roll-outs, revokes devices and invites people. Nobody here reaches the keys of root, \
                targets or models: they are with their holders." }
            @if publisher {
                h2 { "Invite" }
                form method="post" action="/people/invite" class="row" {
                    (csrf(&visitor))
                    label { "Name" input name="name" required maxlength="80" autocomplete="off"; }
                    label { "Role" select name="role" { @for role in ["viewer", "operator", "publisher"] { option { (role) } } } }
                    (once_more(&visitor))
                    button { "Invite" }
                }
            }
        },
    ))
}
