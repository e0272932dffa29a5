//! The handbook as Markdown: a page for each area of checks, with an anchor for each check, and one that lists them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Article, checks, of_check};

/// What the first page begins with.
const HEAD: &str = "# The checks\n\n\
What each check demands and why, how it is tried, how it is usually broken and how it is mended; `avp-conform explain CHECK` \
prints the same. Written by `avp-conform explain --pages docs/checks`; a test fails when it is stale.\n\n";

/// Names and texts of the files.
pub fn pages() -> BTreeMap<String, String> {
    let mut areas: BTreeMap<&str, Vec<Article>> = BTreeMap::new();
    for check in checks() {
        areas.entry(check.id.split('/').next().unwrap_or(check.id)).or_default().push(of_check(check));
    }
    let mut index = HEAD.to_owned();
    let mut pages = BTreeMap::new();
    for (area, articles) in &areas {
        let _ = writeln!(index, "## [{area}]({area}.md)\n");
        for article in articles {
            let anchor = anchor(article.id);
            let _ = writeln!(index, "- [{anchor}]({area}.md#{anchor}) {}", text(article.title));
        }
        index.push('\n');
        pages.insert(format!("{area}.md"), page(area, articles));
    }
    pages.insert("README.md".into(), index.trim_end().to_owned() + "\n");
    pages
}

fn page(area: &str, articles: &[Article]) -> String {
    let mut out = format!("# {area}\n\n");
    // What holds for all of them is said once.
    let shared = articles
        .first()
        .and_then(|first| paragraph(first, "how"))
        .filter(|how| articles.len() > 1 && articles.iter().all(|article| paragraph(article, "how") == Some(how)));
    if let Some(how) = shared {
        let _ = writeln!(out, "{}\n", text(how));
    }
    for article in articles {
        let anchor = anchor(article.id);
        let _ = writeln!(
            out,
            "<a id=\"{anchor}\"></a>\n\n## {}\n\n{} · {}\n",
            article.id,
            article.place,
            text(article.title)
        );
        for (label, said) in &article.paragraphs {
            match *label {
                "how" if shared.is_some() => {}
                "run" => {
                    let _ = writeln!(out, "```sh\n{said}\n```\n");
                }
                label => {
                    let _ = writeln!(out, "**{}** {}\n", heading(label), text(said));
                }
            }
        }
    }
    out.trim_end().to_owned() + "\n"
}

fn heading(label: &str) -> &'static str {
    match label {
        "rule" => "Rule.",
        "why" => "Why.",
        "how" => "How it is tried.",
        "often" => "Usually broken like this.",
        _ => "To mend it.",
    }
}

fn paragraph<'a>(article: &'a Article, label: &str) -> Option<&'a str> {
    article.paragraphs.iter().find(|(known, _)| *known == label).map(|(_, text)| text.as_str())
}

/// The part of an id after its area.
fn anchor(id: &str) -> String {
    id.split_once('/').map_or(id, |(_, rest)| rest).replace('/', "-")
}

/// Our own texts hold code, patterns and headers, which aren't markup.
fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '<' | '>' | '*' | '_' | '|' | '[' | ']' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_link_has_its_anchor() {
        let pages = pages();
        let mut links = 0;
        for part in pages["README.md"].split("](").skip(1) {
            let target = part.split(')').next().unwrap();
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let page = &pages[file];
            assert!(anchor.is_empty() || page.matches(&format!("<a id=\"{anchor}\">")).count() == 1, "{target}");
            links += 1;
        }
        assert_eq!(links, checks().count() + pages.len() - 1);
    }
}
