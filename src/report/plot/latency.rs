//! How latencies are distributed, one row for each kind of work.
//!
//! The axis is logarithmic, because what matters at the slow end is hundreds of times what is usual. Each row has a
//! shape as high as its most frequent latency, dots at its percentiles, and their values in words.

use super::axis::Decades;
use super::{Canvas, Escaped, MARGIN, Number, WIDTH};
use crate::report::figures::{count, latency};

const LEFT: f64 = MARGIN + 8.0;
const RIGHT: f64 = WIDTH - MARGIN - 8.0;
/// Where the rows begin: below the title, the legend and the upper labels of the axis.
const TOP: f64 = 76.0;
/// A row: a line of text, the shape below it, and some air.
const ROW: f64 = 74.0;
const SHAPE: f64 = 34.0;
const BELOW: f64 = 46.0;
/// Columns of a shape.
const COLUMNS: usize = 120;
/// The percentiles, the radius of their dots, and whether these are hollow.
const PERCENTILES: [(&str, f64, f64, bool); 4] = [
    ("p50", 0.5, 5.5, false),
    ("p90", 0.9, 4.5, false),
    ("p99", 0.99, 3.5, false),
    ("p99.9", 0.999, 3.5, true),
];
/// On a narrow screen these stay.
const ALWAYS_SHOWN: [&str; 2] = ["p50", "p99"];

/// The latencies of one kind of work.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Latencies {
    /// What took so long.
    pub name: String,
    /// Latencies in microseconds and how often each was seen, the shortest first.
    pub counts: Vec<(u64, u64)>,
    /// How many times shorter the shortest is that is counted under one of these; 0 if they are exact.
    pub step: f64,
    /// p50, p90, p99 and p99.9 in microseconds, where they are known more exactly than from the counts.
    pub percentiles: Option<[u64; 4]>,
}

impl Latencies {
    fn total(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// One of [`PERCENTILES`].
    fn percentile(&self, index: usize) -> u64 {
        match &self.percentiles {
            Some(known) => known[index],
            None => self.quantile(PERCENTILES[index].1),
        }
    }

    /// The latency that a part of all did not exceed.
    fn quantile(&self, part: f64) -> u64 {
        let wanted = (self.total() as f64 * part).ceil() as u64;
        let mut seen = 0;
        let reached = self.counts.iter().find(|(_, count)| {
            seen += count;
            seen >= wanted
        });
        reached.or(self.counts.last()).map_or(0, |(us, _)| *us)
    }
}

/// Boxes on a logarithmic axis, one above the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LatencyPlot {
    /// What it shows.
    pub title: String,
    /// The rows; those of which nothing was seen are left out.
    pub rows: Vec<Latencies>,
}

impl LatencyPlot {
    /// Draws it for a page in either colour scheme.
    pub fn svg(&self) -> String {
        let rows: Vec<_> = self.rows.iter().filter(|row| row.total() > 0).collect();
        let of_all = |latencies: fn(&Latencies) -> Option<&(u64, u64)>| {
            rows.iter().filter_map(move |row| latencies(row)).map(|(us, _)| *us)
        };
        let low = of_all(|row| row.counts.first()).min().unwrap_or(100);
        let high = of_all(|row| row.counts.last()).max().unwrap_or(100_000);
        let axis = Decades::around(low, high);
        let bottom = TOP + ROW * rows.len().max(1) as f64;
        let description = "latencies in microseconds to seconds, on a logarithmic axis";
        let mut canvas = Canvas::new(bottom + BELOW, &self.title, description);
        legend(&mut canvas);
        for mark in axis.marks() {
            let x = x(&axis, mark.us);
            let class = if mark.is_strong { "rule" } else { "faint" };
            canvas.line(class, (x, TOP), (x, bottom));
            if let Some(label) = &mark.label {
                canvas.text(x, bottom + 22.0, "dim middle", label);
            }
        }
        for (index, row) in rows.iter().enumerate() {
            draw_row(&mut canvas, &axis, row, TOP + ROW * index as f64);
        }
        if rows.is_empty() {
            let middle = (TOP + bottom) / 2.0;
            canvas.text((LEFT + RIGHT) / 2.0, middle, "dim middle", "nothing yet");
        }
        canvas.finish()
    }
}

fn x(axis: &Decades, us: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * axis.position(us)
}

fn legend(canvas: &mut Canvas) {
    const STEP: f64 = 76.0;
    for (index, (name, _, radius, hollow)) in PERCENTILES.into_iter().enumerate() {
        let x = LEFT + STEP * index as f64;
        canvas.dot(0, (x, 51.5), radius, hollow);
        canvas.text(x + 12.0, 56.0, "dim", name);
    }
}

fn draw_row(canvas: &mut Canvas, axis: &Decades, row: &Latencies, top: f64) {
    let base = top + ROW - 10.0;
    let shape = shape(axis, row);
    let step = (RIGHT - LEFT) / (COLUMNS - 1) as f64;
    let points: Vec<_> = shape
        .iter()
        .enumerate()
        .map(|(column, part)| (LEFT + step * column as f64, base - SHAPE * part))
        .collect();
    canvas.line("base", (LEFT, base), (RIGHT, base));
    canvas.area(0, &points, base);
    // Only where there is something: elsewhere the base line says enough.
    let is_drawn = |column: usize| {
        let near = column.saturating_sub(1)..(column + 2).min(COLUMNS);
        shape[near].iter().any(|part| *part > 0.0)
    };
    for run in (0..COLUMNS).collect::<Vec<_>>().chunk_by(|a, b| is_drawn(*a) == is_drawn(*b)) {
        if is_drawn(run[0]) {
            canvas.path(0, &points[run[0]..=run[run.len() - 1]]);
        }
    }
    for (index, (_, _, radius, hollow)) in PERCENTILES.into_iter().enumerate().rev() {
        canvas.dot(0, (x(axis, row.percentile(index) as f64), base), radius, hollow);
    }
    let (x, y) = (Number(LEFT), Number(top + 20.0));
    let (name, times) = (Escaped(&row.name), count(row.total()));
    canvas.draw(format_args!(
        "<text x=\"{x}\" y=\"{y}\"><tspan class=\"name\">{name}</tspan>\
         <tspan class=\"dim wide\" dx=\"8\">{times}</tspan></text>"
    ));
    let label: Vec<_> = (0..PERCENTILES.len()).map(|index| label(row, index)).collect();
    let label = label.join(" ");
    let x = Number(RIGHT);
    canvas.draw(format_args!("<text class=\"dim end\" x=\"{x}\" y=\"{y}\">{label}</text>"));
}

/// A percentile in words.
fn label(row: &Latencies, index: usize) -> String {
    let name = PERCENTILES[index].0;
    let class = if ALWAYS_SHOWN.contains(&name) { "" } else { " class=\"wide\"" };
    let value = latency(row.percentile(index));
    // A space that is not taken together with others keeps the values apart, also where some are not shown.
    format!("<tspan{class}>\u{a0}{name} {}</tspan>", Escaped(value.trim()))
}

/// How often each column's latencies were seen, as parts of the most frequent column's. Columns are equally wide
/// on the axis, so what is seen of the shape is a density; neighbours are smoothed into each other a little.
fn shape(axis: &Decades, row: &Latencies) -> Vec<f64> {
    let mut columns = vec![0.0; COLUMNS];
    for (us, count) in &row.counts {
        // What is counted together lies anywhere between its bounds, so each column has the part of it that it
        // covers.
        let column = |us: f64| axis.position(us) * (COLUMNS - 1) as f64 + 0.5;
        let to = column(*us as f64);
        let from =
            if row.step > 1.0 { column(*us as f64 / row.step).min(to - 1e-6) } else { to - 1e-6 };
        let (first, last) = (from.max(0.0) as usize, (to as usize).min(COLUMNS - 1));
        for (index, column) in columns.iter_mut().enumerate().take(last + 1).skip(first) {
            let covered = to.min(index as f64 + 1.0) - from.max(index as f64);
            *column += *count as f64 * covered.max(0.0) / (to - from);
        }
    }
    for _ in 0..2 {
        let at = |column: usize| columns.get(column).copied().unwrap_or(0.0);
        columns = (0..COLUMNS)
            .map(|column| {
                let before = column.checked_sub(1).map_or(0.0, at);
                (before + 2.0 * at(column) + at(column + 1)) / 4.0
            })
            .collect();
    }
    let most = columns.iter().copied().fold(0.0, f64::max);
    // What would be lower than a line is wide is not drawn.
    let part = |column: f64| if column > most * 0.002 { column / most } else { 0.0 };
    columns.into_iter().map(part).collect()
}
