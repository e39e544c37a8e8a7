//! A picture of the use against the limits over time, as SVG.

use std::{fmt::Write, fs, path::Path, time::Duration};

use super::{
    history::{History, Sample},
    progress::grouped,
    stats::{Stats, Summary},
};

const WIDTH: f64 = 960.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 28.0;
const TOP: f64 = 118.0;
const PANEL: f64 = 168.0;
const GAP: f64 = 62.0;
const BOTTOM: f64 = 56.0;

const STYLE: &str = "
    text { font-family: system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', sans-serif; fill: #475569; font-size: 12px }
    .title { font-size: 20px; font-weight: 600; fill: #0f172a }
    .name { font-size: 14px; font-weight: 600; fill: #0f172a }
    .grid { stroke: #e2e8f0; stroke-width: 1 }
    .axis { stroke: #94a3b8; stroke-width: 1 }
    .waiting { fill: none; stroke: #d97706; stroke-width: 1.25; stroke-dasharray: 2 2 }
    .waits { fill: #b45309 }
    .limit { stroke: #0f172a; stroke-width: 1.25; stroke-dasharray: 5 4 }
    .use { fill: none; stroke-width: 1.75; stroke-linejoin: round }
    .refused { stroke: #dc2626; stroke-width: 2 }
    .end { text-anchor: end } .middle { text-anchor: middle }
";

/// Draws it into a file.
pub(crate) fn save(history: &History, stats: &Stats, path: &Path) -> Result<(), String> {
    let picture = draw(history, &stats.summary());
    fs::write(path, picture).map_err(|error| format!("--plot {}: {error}", path.display()))
}

/// One figure over time, and what it may come to.
struct Panel {
    name: String,
    colour: &'static str,
    most: Option<u64>,
    values: Vec<u64>,
    // How many wait, beside those in flight.
    waiting: Vec<u64>,
}

fn panels(history: &History) -> Vec<Panel> {
    const COLOURS: [&str; 4] = ["#2563eb", "#7c3aed", "#0891b2", "#c026d3"];
    let of = |value: &dyn Fn(&Sample) -> u64| history.samples.iter().map(value).collect();
    let limits = history.limits.iter().enumerate().map(|(at, limit)| Panel {
        name: format!("{} in any {}", limit.resource, span(limit.window)),
        colour: COLOURS[at % COLOURS.len()],
        most: Some(limit.amount),
        values: of(&|sample| sample.used.get(at).copied().unwrap_or_default()),
        waiting: Vec::new(),
    });
    let mut panels: Vec<_> = limits.collect();
    panels.push(Panel {
        name: "requests in flight".to_owned(),
        colour: "#059669",
        most: None,
        values: of(&|sample| sample.in_flight),
        waiting: of(&|sample| sample.waiting),
    });
    panels
}

fn draw(history: &History, summary: &Summary) -> String {
    let panels = panels(history);
    let end = history
        .samples
        .last()
        .map_or(Duration::ZERO, |last| last.at);
    let end = end.as_secs_f64().max(0.001);
    let n = panels.len() as f64;
    let height = TOP + n * PANEL + (n - 1.0) * GAP + BOTTOM;
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n\
         <title>Use against the limits</title>\n<style>{STYLE}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text class=\"title\" x=\"{LEFT}\" y=\"38\">Use against the limits</text>\n\
         <text x=\"{LEFT}\" y=\"60\">{}</text>",
        told(summary)
    );
    for (at, panel) in panels.iter().enumerate() {
        let top = TOP + at as f64 * (PANEL + GAP);
        draw_panel(&mut svg, history, panel, (top, end));
    }
    svg.push_str("</svg>\n");
    svg
}

fn told(summary: &Summary) -> String {
    let mut text = format!(
        "{} requests, {} tokens in {}",
        grouped(summary.succeeded + summary.failed),
        grouped(summary.tokens),
        span(Duration::from_secs_f64(summary.elapsed_seconds.max(0.0))),
    );
    if let Some(used) = summary.utilisation {
        let _ = write!(
            text,
            "  ·  {:.1} % of the tokens of whole windows",
            used * 100.0
        );
    }
    let _ = write!(text, "  ·  {} × 429", grouped(summary.rate_limited));
    text
}

fn draw_panel(svg: &mut String, history: &History, panel: &Panel, (top, end): (f64, f64)) {
    let (bottom, right) = (top + PANEL, WIDTH - RIGHT);
    let most_of = |values: &[u64]| values.iter().copied().max().unwrap_or_default();
    let (peak, waiting) = (most_of(&panel.values), most_of(&panel.waiting));
    let largest = panel.most.unwrap_or_default().max(peak).max(waiting).max(1);
    // A little above the limit, so that its line stands free.
    let scale = largest as f64 * 1.12;
    let x = |at: Duration| LEFT + (right - LEFT) * at.as_secs_f64() / end;
    let y = |value: u64| bottom - PANEL * value as f64 / scale;

    let step = nice(scale / 4.0).max(1.0);
    let mut value = 0.0;
    while value <= scale {
        let at = y(value as u64);
        let class = if value == 0.0 { "axis" } else { "grid" };
        let _ = writeln!(
            svg,
            "<path class=\"{class}\" d=\"M{LEFT} {at:.1}H{right}\"/><text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            LEFT - 10.0,
            at + 4.0,
            grouped(value as u64)
        );
        value += step;
    }
    for (at, name) in instants(end) {
        let at = x(at);
        let _ = writeln!(
            svg,
            "<path class=\"grid\" d=\"M{at:.1} {top}V{bottom}\"/><path class=\"axis\" d=\"M{at:.1} {bottom}v5\"/><text class=\"middle\" x=\"{at:.1}\" y=\"{:.1}\">{name}</text>",
            bottom + 20.0
        );
    }

    let line = |values: &[u64]| {
        let mut line = String::new();
        for (sample, value) in history.samples.iter().zip(values) {
            let command = if line.is_empty() { "" } else { "L" };
            let _ = write!(line, "{command}{:.1} {:.1}", x(sample.at), y(*value));
        }
        line
    };
    let colour = panel.colour;
    if waiting > 0 {
        let line = line(&panel.waiting);
        let _ = writeln!(svg, "<path class=\"waiting\" d=\"M{line}\"/>");
    }
    let line = line(&panel.values);
    if !line.is_empty() {
        let last = history.samples.last().map_or(LEFT, |last| x(last.at));
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {bottom}L{line}L{last:.1} {bottom}Z\" fill=\"{colour}\" fill-opacity=\"0.13\"/>\n\
             <path class=\"use\" stroke=\"{colour}\" d=\"M{line}\"/>"
        );
    }
    let mut before = 0;
    for sample in &history.samples {
        if sample.refused > before {
            let _ = writeln!(
                svg,
                "<path class=\"refused\" d=\"M{:.1} {bottom}v-9\"><title>{} × 429</title></path>",
                x(sample.at),
                sample.refused - before
            );
        }
        before = sample.refused;
    }

    let head = top - 12.0;
    let _ = writeln!(
        svg,
        "<text class=\"name\" x=\"{LEFT}\" y=\"{head}\">{}</text>",
        panel.name
    );
    let peak_told = match panel.most {
        Some(most) => {
            let at = y(most);
            let _ = writeln!(svg, "<path class=\"limit\" d=\"M{LEFT} {at:.1}H{right}\"/>");
            let share = peak as f64 / most.max(1) as f64 * 100.0;
            format!(
                "limit {}  ·  at most {} used, {share:.1} %",
                grouped(most),
                grouped(peak)
            )
        }
        None => format!(
            "at most {}  ·  <tspan class=\"waits\">{} waiting for their turn</tspan>",
            grouped(peak),
            grouped(waiting)
        ),
    };
    let _ = writeln!(
        svg,
        "<text class=\"end\" x=\"{right}\" y=\"{head}\">{peak_told}</text>"
    );
}

/// The next of 1, 2, 5, 10, 20, … that is as large.
fn nice(least: f64) -> f64 {
    let mut step = 1.0;
    while step < least {
        for factor in [2.0, 5.0, 10.0] {
            if step * factor >= least {
                return step * factor;
            }
        }
        step *= 10.0;
    }
    step
}

/// Where the axis of time is named: at most ten times.
fn instants(end: f64) -> Vec<(Duration, String)> {
    const STEPS: [u64; 20] = [
        1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200,
        86_400, 172_800, 604_800,
    ];
    let fits = |step: &&u64| end / **step as f64 <= 10.0;
    let step = STEPS.iter().find(fits).copied().unwrap_or(2_592_000);
    let all = (0..=(end as u64 / step)).map(|n| Duration::from_secs(n * step));
    all.map(|at| (at, span(at))).collect()
}

/// `90 s`, `15 min`, `2 h`.
fn span(span: Duration) -> String {
    match span.as_secs() {
        0 if span.is_zero() => "0".to_owned(),
        seconds if seconds >= 7_200 && seconds.is_multiple_of(1_800) => {
            format!("{} h", seconds as f64 / 3_600.0)
        }
        seconds if seconds >= 120 && seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ if span.subsec_millis() == 0 => format!("{} s", span.as_secs()),
        _ => format!("{:.1} s", span.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        Summary {
            succeeded: 1_234,
            failed: 0,
            attempts: 1_240,
            rate_limited: 2,
            tokens: 567_890,
            elapsed_seconds: 61.25,
            utilisation: Some(0.9876),
        }
    }

    #[test]
    fn steps_are_round() {
        for (least, step) in [
            (0.2, 1.0),
            (1.0, 1.0),
            (1.1, 2.0),
            (37.0, 50.0),
            (8_400.0, 10_000.0),
        ] {
            assert_eq!(nice(least), step, "{least}");
        }
        for (end, names) in [(4.2, 5), (21.0, 5), (90_000.0, 9), (0.5, 1)] {
            assert_eq!(instants(end).len(), names, "{end}");
        }
        assert_eq!(span(Duration::from_secs(5_400)), "90 min");
    }

    #[test]
    fn a_run_without_a_sample_is_a_picture_too() {
        let history = History::new(Duration::from_secs(60));
        let svg = draw(&history, &summary());
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("1,234 requests, 567,890 tokens in 61.2 s  ·  98.8 % of the tokens"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }
}
