//! What `vectors check` says to a person: a line per file, what is wrong in full, and what wasn't checked.

use std::fmt::Write as _;
use std::path::Path;

use crate::ground::shown::count;
use crate::report::style::{BOLD, DIM, GREEN, RED, YELLOW, paint};
use crate::report::text::clean;
use crate::vectors::{CaseResult, Checked, CheckedCase, CheckedFile};

/// The whole text.
pub(super) fn render(folder: &Path, checked: &Checked, verbose: bool) -> String {
    let mut out = String::new();
    for file in &checked.files {
        out += &file_lines(file, verbose);
    }
    out += &unchecked(checked, verbose);
    let _ = writeln!(out, "{}", verdict(folder, checked));
    out
}

fn file_lines(file: &CheckedFile, verbose: bool) -> String {
    let number = |verdict| file.cases.iter().filter(|case| case.verdict == verdict).count();
    let mut parts = Vec::new();
    for (verdict, style, word) in [
        (CaseResult::Wrong, RED, "wrong"),
        (CaseResult::Unreadable, RED, "unreadable"),
        (CaseResult::NotChecked, YELLOW, "not checked"),
        (CaseResult::Right, GREEN, "right"),
    ] {
        if number(verdict) > 0 {
            parts.push(paint(style, format!("{} {word}", number(verdict))));
        }
    }
    parts.extend(file.unreadable.as_ref().map(|problem| paint(RED, format!("unreadable: {}", clean(problem)))));
    let mut out = format!("{}: {}\n", paint(BOLD, clean(&file.name)), parts.join(", "));
    for case in &file.cases {
        out += &case_lines(case, verbose);
    }
    out
}

fn case_lines(case: &CheckedCase, verbose: bool) -> String {
    let mut out = String::new();
    let (style, word) = match case.verdict {
        CaseResult::Wrong => (RED, "wrong"),
        CaseResult::Unreadable => (RED, "unreadable"),
        CaseResult::NotChecked => (YELLOW, "not checked"),
        CaseResult::Right => (GREEN, "right"),
    };
    let name = clean(&case.name).into_owned();
    if verbose || case.verdict != CaseResult::Right {
        let _ = writeln!(out, "  {} {name}", paint(style, word));
        for problem in &case.problems {
            let _ = writeln!(out, "    {}", clean(problem));
        }
    }
    for remark in &case.remarks {
        let _ = writeln!(out, "  {} {name}: {}", paint(YELLOW, "remark"), clean(remark));
    }
    let untold = verbose || case.verdict == CaseResult::NotChecked;
    for text in case.unchecked.iter().filter(|_| untold) {
        let _ = writeln!(out, "    {}", paint(DIM, format!("not checked: {}", clean(text))));
    }
    out
}

/// What nothing was said about.
fn unchecked(checked: &Checked, verbose: bool) -> String {
    let mut lines = Vec::new();
    for file in &checked.files {
        let mut reasons: Vec<(&str, usize)> = Vec::new();
        let known =
            file.cases.iter().filter(|case| case.verdict != CaseResult::NotChecked).flat_map(|case| &case.unchecked);
        for reason in known {
            match reasons.iter_mut().find(|(other, _)| other == reason) {
                Some((_, count)) => *count += 1,
                None => reasons.push((reason, 1)),
            }
        }
        let rows = reasons
            .into_iter()
            .map(|(reason, number)| format!("{}: {} ({})", file.name, clean(reason), count(number, "case")));
        lines.extend(rows);
        lines.extend(
            file.unknown_members.iter().map(|member| format!("{}: {}, unknown here", file.name, clean(member))),
        );
    }
    lines.extend(checked.unknown_files.iter().map(|name| format!("{}: not a file of the format", clean(name))));
    if !checked.files.is_empty() {
        lines.extend(checked.absent_files.iter().map(|name| format!("{name}: isn't there")));
    }
    if verbose {
        lines.push("names, sources, reasons, flags and descriptions, which say nothing that can be computed".into());
    }
    let mut out = String::new();
    if !lines.is_empty() {
        let _ = writeln!(out, "{}", paint(BOLD, "not checked"));
    }
    for line in lines {
        let _ = writeln!(out, "  {}", paint(DIM, line));
    }
    out
}

fn verdict(folder: &Path, checked: &Checked) -> String {
    let (wrong, unreadable) = (checked.count(CaseResult::Wrong), checked.count(CaseResult::Unreadable));
    let (right, unknown) = (checked.count(CaseResult::Right), checked.count(CaseResult::NotChecked));
    if checked.files.is_empty() {
        return paint(RED, format!("no vector files in {}", clean(&folder.to_string_lossy())));
    }
    let rest = if unknown > 0 { format!(", {unknown} not checked") } else { String::new() };
    if wrong + unreadable > 0 {
        paint(RED.bold(), format!("{wrong} wrong, {unreadable} unreadable, {right} right{rest}"))
    } else {
        paint(GREEN.bold(), format!("{right} right{rest}"))
    }
}
