//! The report as one HTML page: style, curves and cut-outs inside it, nothing from the network. The whole pictures lie
//! beside it. Every string from a dataset, a model or a file name is escaped.

use std::fmt::{self, Write};

use super::gallery::{self, Gallery, Item, Section};
use super::metrics::NONE;
use super::plot::{self, Line};
use super::report::{CategoryReport, PrecisionCurves, Report};
use super::table::figure;
use crate::draw::Colour;
use crate::report::{Escaped, base64};

const STYLE: &str = include_str!("page.css");
/// Most curves of single categories on the page.
const MOST_CURVES: usize = 120;

/// The page.
pub fn render(report: &Report, gallery: &Gallery) -> String {
    let mut html = String::new();
    // Writing to a String cannot fail.
    let _ = page(&mut html, report, gallery);
    html
}

fn escape(text: &str) -> String {
    Escaped(text).to_string()
}

fn page(html: &mut String, report: &Report, gallery: &Gallery) -> fmt::Result {
    let subject = subject(report);
    write!(
        html,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\
         <title>{subject}: evaluation</title><style>{STYLE}</style></head><body><main>"
    )?;
    head(html, report, &subject, gallery)?;
    figures(html, report)?;
    notes(html, report)?;
    kinds(html, report)?;
    curves_and_sizes(html, report)?;
    categories(html, report)?;
    for (index, section) in gallery.sections.iter().enumerate() {
        mistakes(html, index, section)?;
    }
    category_curves(html, report)?;
    writeln!(
        html,
        "<footer>stopline {} · figures as pycocotools' COCOeval computes them for boxes · – where nothing is labelled</footer>\
         </main></body></html>",
        report.stopline
    )
}

fn subject(report: &Report) -> String {
    let file = || report.subject.detections_file.as_deref();
    escape(report.subject.model.as_deref().or_else(file).unwrap_or("detections"))
}

fn head(html: &mut String, report: &Report, subject: &str, gallery: &Gallery) -> fmt::Result {
    let dataset = &report.dataset;
    write!(html, "<h1 class=\"wrap\">{subject}</h1>")?;
    write!(
        html,
        "<p class=\"soft wrap\">measured on {} · {} pictures · {} labelled boxes{} · {} detections</p>",
        escape(&dataset.path),
        dataset.images,
        dataset.truths,
        if dataset.crowds > 0 { format!(" and {} crowds", dataset.crowds) } else { String::new() },
        dataset.detections
    )?;
    let mut source = Vec::new();
    if let Some(sha256) = &report.subject.sha256 {
        source.push(format!("ONNX file SHA-256 {}", escape(&sha256.chars().take(16).collect::<String>())));
    }
    if let Some(backend) = &report.subject.backend {
        source.push(format!("engine {}", escape(backend)));
    }
    if let (Some(score), Some(most)) = (report.subject.least_score, report.subject.max_detections) {
        source.push(format!("detections from score {score} on, at most {most} in a picture"));
    }
    if let (Some(file), Some(_)) = (&report.subject.detections_file, &report.subject.model) {
        source.push(format!("detections from {}", escape(file)));
    }
    write!(html, "<p class=\"soft wrap\">{}</p><nav>", source.join(" · "))?;
    write!(html, "<a href=\"#sizes\">Sizes and curves</a><a href=\"#categories\">Categories</a>")?;
    for (index, section) in gallery.sections.iter().enumerate() {
        write!(html, "<a href=\"#mistakes-{index}\">{} ({})</a>", section.title, section.total)?;
    }
    write!(html, "<a href=\"#curves\">Curve of each category</a></nav>")
}

fn figures(html: &mut String, report: &Report) -> fmt::Result {
    let value = |name: &str| figure(report.summary.value(name));
    let at = &report.operating;
    html.push_str("<div class=\"figures\">");
    for (number, meaning) in [
        (value("mAP"), "mAP 50–95"),
        (value("mAP50"), "mAP50"),
        (value("mAP75"), "mAP75"),
        (value("AR100"), "AR100"),
        (figure(at.precision), "precision at threshold"),
        (figure(at.recall), "recall at threshold"),
    ] {
        write!(html, "<div class=\"figure\"><b>{number}</b><span>{meaning}</span></div>")?;
    }
    html.push_str("</div>");
    Ok(())
}

fn notes(html: &mut String, report: &Report) -> fmt::Result {
    let pictures = &report.pictures;
    if report.notes.is_empty() && pictures.total() == 0 {
        return Ok(());
    }
    html.push_str("<div class=\"notes\"><ul>");
    if pictures.total() > 0 {
        write!(
            html,
            "<li><b>{} pictures were not measured</b>: {} missing, {} unreadable, {} of another size, {} without a valid \
             result. Their boxes count in no figure.</li>",
            pictures.total(),
            pictures.missing,
            pictures.unreadable,
            pictures.other_size,
            pictures.invalid
        )?;
        for problem in pictures.problems.iter().take(10) {
            write!(html, "<li>{}</li>", escape(problem))?;
        }
    }
    for note in &report.notes {
        write!(html, "<li>{}</li>", escape(note))?;
    }
    html.push_str("</ul></div>");
    Ok(())
}

fn kinds(html: &mut String, report: &Report) -> fmt::Result {
    let (at, counts) = (&report.operating, &report.mistakes);
    write!(
        html,
        "<h2>Where it fails<small>thresholds: {}; overlap 0.5</small></h2><div class=\"pair\">",
        escape(report.subject.thresholds_from)
    )?;
    let table = |html: &mut String, title: &str, total: usize, rows: [(&str, usize); 4]| -> fmt::Result {
        write!(html, "<table><tr><th>{title}</th><th>{total}</th><th></th></tr>")?;
        for (kind, count) in rows {
            let share = if total == 0 { 0.0 } else { count as f64 / total as f64 };
            write!(
                html,
                "<tr><td>{kind}</td><td>{count}</td>{}</tr>",
                bar(share, format!("{:.0} %", share * 100.0))
            )?;
        }
        html.push_str("</table>");
        Ok(())
    };
    table(
        html,
        "Missed",
        at.missed,
        [
            ("not seen at all", counts.missed_unseen),
            ("found, but below the threshold", counts.missed_too_weak),
            ("box does not fit", counts.missed_misplaced),
            ("taken for something else", counts.missed_taken_for_other),
        ],
    )?;
    table(
        html,
        "False positives",
        at.wrong,
        [
            ("nothing labelled there", counts.false_background),
            ("labelled as something else", counts.false_confused),
            ("box does not fit", counts.false_misplaced),
            ("second box on one object", counts.false_double),
        ],
    )?;
    html.push_str("</div>");
    Ok(())
}

fn curves_and_sizes(html: &mut String, report: &Report) -> fmt::Result {
    html.push_str("<h2 id=\"sizes\">Precision, recall and size</h2><div class=\"pair\"><div>");
    html.push_str(&plot::precision_recall(&lines(&report.curves), None, (540.0, 340.0), true));
    curve_key(html);
    html.push_str(
        "</div><div class=\"scroll\"><table><tr><th>size of the object</th><th>mAP</th><th>AR100</th></tr>",
    );
    let value = |name: &str| report.summary.value(name);
    for (size, ap, ar) in [
        ("small: up to 32² px", "mAP_small", "AR_small"),
        ("medium: 32² to 96² px", "mAP_medium", "AR_medium"),
        ("large: from 96² px", "mAP_large", "AR_large"),
        ("all", "mAP", "AR100"),
    ] {
        write!(html, "<tr><td>{size}</td>{}{}</tr>", share(value(ap)), share(value(ar)))?;
    }
    write!(
        html,
        "</table><p class=\"soft\">Average recall with at most 1, 10 and 100 detections in a picture: {}, {}, {}.</p>\
         <h3>Recall by height of the box</h3>{}\
         <div class=\"key\"><span style=\"--c:var(--mark)\">found at the threshold</span>\
         <span style=\"--c:var(--pale)\">found at any score</span></div></div></div>",
        figure(value("AR1")),
        figure(value("AR10")),
        figure(value("AR100")),
        plot::heights(&report.by_height)
    )
}

fn lines(curves: &PrecisionCurves) -> [Line<'_>; 3] {
    [
        Line { class: "mean", precision: &curves.iou50_95 },
        Line { class: "iou75", precision: &curves.iou75 },
        Line { class: "iou50", precision: &curves.iou50 },
    ]
}

fn curve_key(html: &mut String) {
    html.push_str(
        "<div class=\"key\"><span style=\"--c:var(--mark)\">overlap 0.50</span><span style=\"--c:var(--second)\">overlap \
         0.75</span><span class=\"dashed\" style=\"--c:var(--third)\">mean of 0.50 to 0.95</span></div>",
    );
}

/// Categories with something to tell, most labelled boxes first.
fn told(report: &Report) -> Vec<&CategoryReport> {
    let mut told: Vec<&CategoryReport> =
        report.categories.iter().filter(|one| one.truths + one.crowds + one.detections > 0).collect();
    told.sort_by_key(|one| std::cmp::Reverse(one.truths));
    told
}

fn categories(html: &mut String, report: &Report) -> fmt::Result {
    let told = told(report);
    write!(
        html,
        "<h2 id=\"categories\">Categories<small>most labelled boxes first</small></h2><div class=\"scroll\"><table><tr>"
    )?;
    for column in [
        "category",
        "boxes",
        "found",
        "AP 50–95",
        "AP50",
        "AP75",
        "small",
        "medium",
        "large",
        "AR100",
        "threshold",
        "precision",
        "recall",
        "best F1",
        "at score",
    ] {
        write!(html, "<th>{column}</th>")?;
    }
    html.push_str("</tr>");
    for one in &told {
        write!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{}</td>{}",
            escape(&one.name),
            one.truths,
            one.detections,
            share(one.ap)
        )?;
        let [small, medium, large] = one.ap_by_size;
        let at = &one.operating;
        let best = one.best_f1.map_or([NONE; 2], |best| [best.f1, best.score]);
        for value in [
            one.ap50,
            one.ap75,
            small,
            medium,
            large,
            one.ar[2],
            at.score,
            at.precision,
            at.recall,
            best[0],
            best[1],
        ] {
            write!(html, "<td>{}</td>", figure(value))?;
        }
        html.push_str("</tr>");
    }
    html.push_str("</table></div>");
    let silent = report.categories.len() - told.len();
    if silent > 0 {
        write!(html, "<p class=\"soft\">{silent} more categories: nothing labelled, nothing found.</p>")?;
    }
    Ok(())
}

fn share(value: f64) -> String {
    if value <= NONE { "<td>–</td>".into() } else { bar(value, figure(value)) }
}

fn bar(share: f64, text: String) -> String {
    format!(
        "<td class=\"bar\">{text}<i style=\"width:calc({:.3} * (100% - 16px))\"></i></td>",
        share.clamp(0.0, 1.0)
    )
}

fn mistakes(html: &mut String, index: usize, section: &Section) -> fmt::Result {
    write!(html, "<h2 id=\"mistakes-{index}\">{}<small>", section.title)?;
    match (section.total, section.items.len()) {
        (0, _) => html.push_str("none</small></h2>"),
        (total, shown) if shown < total => {
            write!(html, "{}; {shown} of {total}</small></h2>", section.order)?
        }
        (total, _) => write!(html, "{}; {total}</small></h2>", section.order)?,
    }
    if section.items.is_empty() {
        return Ok(());
    }
    html.push_str("<div class=\"key\">");
    for (colour, class, meaning) in [
        (gallery::MISSED, "dashed", "labelled, missed"),
        (gallery::LABELLED, "dashed", "labelled, found"),
        (gallery::RIGHT, "", "right detection"),
        (gallery::WRONG, "", "wrong detection"),
    ] {
        write!(html, "<span class=\"{class}\" style=\"--c:{}\">{meaning}</span>", css(colour))?;
    }
    html.push_str("</div><div class=\"gallery\">");
    section.items.iter().try_for_each(|item| mistake(html, item))?;
    html.push_str("</div>");
    Ok(())
}

fn css(Colour { red, green, blue }: Colour) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

fn mistake(html: &mut String, item: &Item) -> fmt::Result {
    let what = escape(&item.what);
    html.push_str("<figure>");
    match (&item.cut, &item.whole) {
        (Some(cut), Some(whole)) => write!(
            html,
            "<a href=\"{}\" title=\"the whole picture\"><img loading=\"lazy\" alt=\"{what}\" src=\"data:image/jpeg;base64,{}\"></a>",
            escape(whole),
            base64(cut)
        )?,
        _ => write!(
            html,
            "<div class=\"none\">{}</div>",
            escape(item.problem.as_deref().unwrap_or("no picture"))
        )?,
    }
    write!(
        html,
        "<figcaption>{what}<span>{}</span><span>{}</span></figcaption></figure>",
        escape(&item.details),
        escape(&item.file_name)
    )
}

fn category_curves(html: &mut String, report: &Report) -> fmt::Result {
    let labelled: Vec<&CategoryReport> = told(report).into_iter().filter(|one| one.truths > 0).collect();
    write!(html, "<h2 id=\"curves\">Curve of each category<small>")?;
    if labelled.len() > MOST_CURVES {
        write!(html, "the {MOST_CURVES} with most labelled boxes of {}; ", labelled.len())?;
    }
    html.push_str("circle: at the threshold, overlap 0.5</small></h2>");
    curve_key(html);
    html.push_str("<div class=\"curves\">");
    for one in labelled.into_iter().take(MOST_CURVES) {
        let at = &one.operating;
        let plot = plot::precision_recall(
            &lines(&one.curves),
            Some((at.recall, at.precision)),
            (240.0, 180.0),
            false,
        );
        write!(
            html,
            "<figure>{plot}<figcaption>{} · AP {}</figcaption></figure>",
            escape(&one.name),
            figure(one.ap)
        )?;
    }
    html.push_str("</div>");
    Ok(())
}
