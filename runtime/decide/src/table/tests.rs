use std::string::String;
use std::vec::Vec;

use super::*;

#[test]
fn every_row_and_column_has_a_cell_and_a_fault_never_asks_for_more_than_the_decision() {
    assert_eq!(Column::all().count(), Cause::COUNT + 3);
    for column in Column::all() {
        for row in Row::ALL {
            let cell = look_up(row, column);
            let begins = cell.asked == Asked::AsDecided;
            let sound = matches!(column, Column::Sound)
                || matches!(column, Column::Cause(cause) if brake_effect(cause) <= Effect::Told);
            let goes_on = row == Row::Braking
                && matches!(column, Column::Cause(cause) if brake_effect(cause) == Effect::NoNewBrake);
            assert_eq!(
                begins,
                (sound || goes_on) && !matches!(row, Row::Holding | Row::Overridden),
                "{row:?} {column}"
            );
        }
    }
}

#[test]
fn no_fault_drops_a_hold() {
    for column in Column::all() {
        let cell = look_up(Row::Holding, column);
        assert_eq!((cell.latch, cell.cleared_by), (Latch::Standstill, ClearedBy::Driver), "{column}");
        let sent = !matches!(column, Column::ProcessDeath | Column::BusLost);
        assert_eq!(
            (cell.asked, cell.valid),
            if sent { (Asked::Hold, true) } else { (Asked::NotSent, false) }
        );
    }
}

#[test]
fn a_brake_in_progress_runs_out_where_its_object_cannot_be_seen() {
    for cause in Cause::all() {
        let cell = look_up(Row::Braking, Column::Cause(cause));
        let blind = brake_effect(cause) >= Effect::Blind;
        assert_eq!(cell.asked == Asked::LastValue, blind, "{cause}");
        if blind {
            assert_eq!((cell.ramp, cell.latch, cell.valid), (Ramp::Out, Latch::BlindTime, true), "{cause}");
        }
    }
    for column in [Column::ProcessDeath, Column::BusLost] {
        let cell = look_up(Row::Braking, column);
        assert_eq!((cell.asked, cell.ramp), (Asked::NotSent, Ramp::Out), "{column}");
    }
}

#[test]
fn rows_lead_back_from_their_numbers() {
    for row in Row::ALL {
        assert_eq!(Row::from_number(row.number()), Some(row));
    }
    assert_eq!(Row::from_number(5), None);
}

#[test]
fn stop_sign_and_pedestrian_share_their_effects() {
    // The table has one column per cause; were they to differ, it would show the worse one only.
    for cause in Cause::all() {
        assert_eq!(cause.effect(Function::StopSign), cause.effect(Function::Pedestrian), "{cause}");
    }
}

fn printed(write: impl Fn(&mut dyn fmt::Write) -> fmt::Result) -> String {
    let mut text = String::new();
    write(&mut text).expect("a string takes everything");
    text
}

#[test]
fn the_printed_table_names_every_column_once_and_has_seven_lines() {
    let text = printed(write);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2 + 7, "{text}");
    for column in Column::all() {
        let name = std::format!("{column}");
        let named = lines.iter().filter(|line| {
            line.trim_start_matches("| ").split(" |").next().unwrap().split(", ").any(|word| word == name)
        });
        assert_eq!(named.count(), 1, "{name}");
    }
    assert!(lines.iter().all(|line| line.matches('|').count() == 7), "{text}");
}

#[test]
fn the_readme_holds_exactly_these_tables() {
    let readme = include_str!("../../README.md");
    assert_eq!(printed(write_policy).lines().count(), 2 + Cause::COUNT);
    for text in [printed(write), printed(write_policy)] {
        assert!(readme.contains(&text), "put this into runtime/decide/README.md:\n\n{text}");
    }
}
