//! The picture: one bar a side, each group to its own scale. Readable by day and by night.

use std::fmt::Write as _;

use crate::report::{Row, Unit};

const WIDTH: f64 = 760.0;
const BARS_AT: f64 = 300.0;
const LINE: f64 = 22.0;

/// The picture of these rows, as SVG.
///
/// Rows of the same name make one group: ours once, then all the others.
pub(crate) fn svg(rows: &[Row], machine: &str) -> String {
    let mut groups: Vec<Vec<&Row>> = Vec::new();
    for row in rows.iter().filter(|row| row.of_others && row.unit != Unit::P99) {
        match groups.last_mut() {
            Some(group) if group[0].what == row.what => group.push(row),
            _ => groups.push(vec![row]),
        }
    }
    let mut y = 30.0;
    let mut bars = String::new();
    for group in &groups {
        let ours = group[0];
        let most =
            group.iter().map(|row| row.value(&row.theirs)).fold(ours.value(&ours.ours), f64::max);
        text(&mut bars, "h", 10.0, y, &ours.what);
        let mut bar = |class: &str, name: &str, value: f64, shown: &str| {
            y += LINE;
            let width = (WIDTH - BARS_AT - 120.0) * value / most;
            text(&mut bars, class, 20.0, y, name);
            let _ = writeln!(
                bars,
                "<rect class=\"{class}\" x=\"{BARS_AT}\" y=\"{:.0}\" width=\"{width:.1}\" height=\"14\" rx=\"2\"/>",
                y - 11.0
            );
            text(&mut bars, class, BARS_AT + width + 6.0, y, shown);
        };
        bar("o", "Oncegate", ours.value(&ours.ours), &ours.shown(&ours.ours));
        for row in group {
            bar("t", &row.against, row.value(&row.theirs), &row.shown(&row.theirs));
        }
        y += LINE * 1.6;
    }
    text(&mut bars, "s", 10.0, y, machine);
    let height = y + 12.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" \
         height=\"{height:.0}\" role=\"img\" aria-label=\"Oncegate compared, on one core\">
<style>
text {{ font: 13px system-ui, sans-serif; fill: #1f2328 }}
.h {{ font-weight: 600 }}
.s {{ font-size: 11px; fill: #59636e }}
rect.o {{ fill: #0a7d55 }}
rect.t {{ fill: #b3bac2 }}
@media (prefers-color-scheme: dark) {{
text {{ fill: #e6edf3 }}
.s {{ fill: #9198a1 }}
rect.o {{ fill: #2fbf8a }}
rect.t {{ fill: #59636e }}
}}
</style>
{bars}</svg>
"
    )
}

fn text(into: &mut String, class: &str, x: f64, y: f64, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    let _ = writeln!(into, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.0}\">{words}</text>");
}
