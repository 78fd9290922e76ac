//! Something that is counted per second, over the time of a run.

use super::axis::{linear, moments, number};
use super::{Canvas, MARGIN, WIDTH};

const LEFT: f64 = 84.0;
const RIGHT: f64 = WIDTH - MARGIN - 8.0;
const TOP: f64 = 78.0;
const BOTTOM: f64 = 282.0;
const HEIGHT: f64 = 328.0;
/// More points than this are more than a screen has columns for the line to be read.
const MOST_POINTS: usize = 240;

/// One line of a plot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// What it is; shown if there are several.
    pub name: String,
    /// Seconds since the start, and the value there, in order of time.
    pub points: Vec<(f64, f64)>,
}

/// A plot of values over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OverTime {
    /// What it shows.
    pub title: String,
    /// What the values are, as in `pairs per second`.
    pub unit: String,
    /// The lines.
    pub series: Vec<Series>,
}

impl OverTime {
    /// The plot as SVG.
    pub fn svg(&self) -> String {
        let series: Vec<_> = self.series.iter().map(|series| thinned(&series.points)).collect();
        let all = || series.iter().flatten();
        let seconds = all().map(|point| point.0).fold(0.0, f64::max);
        let seconds = if seconds > 0.0 { seconds } else { 1.0 };
        let marks = linear(all().map(|point| point.1).fold(0.0, f64::max));
        let top = marks.last().copied().unwrap_or(1.0);
        let x = |at: f64| LEFT + (RIGHT - LEFT) * at / seconds;
        let y = |value: f64| BOTTOM - (BOTTOM - TOP) * value / top;

        let mut canvas = Canvas::new(HEIGHT, &self.title, &format!("{} over time", self.unit));
        canvas.text(MARGIN, 56.0, "dim", &self.unit);
        self.legend(&mut canvas);
        for mark in marks {
            let class = if mark == 0.0 { "base" } else { "rule" };
            canvas.line(class, (LEFT, y(mark)), (RIGHT, y(mark)));
            canvas.text(LEFT - 10.0, y(mark) + 5.0, "dim end", &number(mark));
        }
        for (index, (at, label)) in moments(seconds).into_iter().enumerate() {
            canvas.line("base", (x(at), BOTTOM), (x(at), BOTTOM + 5.0));
            // On a narrow screen every second one has to do.
            let class = if index % 2 == 0 { "dim middle" } else { "dim middle wide" };
            canvas.text(x(at), BOTTOM + 25.0, class, &label);
        }
        for (colour, points) in series.iter().enumerate() {
            let points: Vec<_> = points.iter().map(|(at, value)| (x(*at), y(*value))).collect();
            match points.as_slice() {
                [] => {}
                [only] => canvas.dot(colour, *only, 4.0, false),
                points => {
                    // Several areas on top of each other say nothing.
                    if series.len() == 1 {
                        canvas.area(colour, points, BOTTOM);
                    }
                    canvas.path(colour, points);
                }
            }
        }
        if all().next().is_none() {
            canvas.text((LEFT + RIGHT) / 2.0, (TOP + BOTTOM) / 2.0, "dim middle", "nothing yet");
        }
        canvas.finish()
    }

    /// The names of several lines, from the right.
    fn legend(&self, canvas: &mut Canvas) {
        // Wide enough for the letters of a narrow screen.
        const CHARACTER: f64 = 10.5;
        const SWATCH: f64 = 32.0;
        if self.series.len() < 2 {
            return;
        }
        let mut left = RIGHT;
        for (colour, series) in self.series.iter().enumerate().rev() {
            left -= series.name.chars().count() as f64 * CHARACTER + SWATCH;
            canvas.path(colour, &[(left, 51.5), (left + 16.0, 51.5)]);
            canvas.text(left + 23.0, 56.0, "dim", &series.name);
        }
    }
}

/// Points that can be drawn, and no more than can be seen: neighbours are taken together as their mean.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let is_drawn = |(at, value): &(f64, f64)| {
        at.is_finite() && value.is_finite() && *at >= 0.0 && *value >= 0.0
    };
    let drawn: Vec<_> = points.iter().copied().filter(is_drawn).collect();
    let together = drawn.len().div_ceil(MOST_POINTS).max(1);
    let mean = |part: &[(f64, f64)]| {
        let sum = part.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / part.len() as f64, sum.1 / part.len() as f64)
    };
    drawn.chunks(together).map(mean).collect()
}
