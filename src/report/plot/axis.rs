//! Where the marks of an axis stand, and what they say.

use crate::report::figures::count;

/// Marks from 0 to at least `max`, some four or five, at round numbers.
pub(super) fn linear(max: f64) -> Vec<f64> {
    let max = if max.is_finite() && max > 0.0 { max } else { 1.0 };
    let rough = max / 4.0;
    let power = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|step| step * power);
    let step = steps.into_iter().find(|step| *step >= rough).unwrap_or(rough);
    let marks = (max / step - 1e-9).ceil().max(1.0) as usize;
    (0..=marks).map(|mark| mark as f64 * step).collect()
}

/// A number beside a mark of a linear axis.
pub(super) fn number(value: f64) -> String {
    match value {
        _ if value >= 10.0 || value.fract() == 0.0 => count(value.round() as u64),
        1.0.. => format!("{value:.1}"),
        _ => format!("{value:.3}").trim_end_matches('0').to_owned(),
    }
}

/// Moments to mark in so many seconds, with their labels.
pub(super) fn moments(seconds: f64) -> Vec<(f64, String)> {
    const MOST: f64 = 7.0;
    const STEPS: [f64; 20] = [
        0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0,
        3_600.0, 7_200.0, 14_400.0, 28_800.0, 86_400.0,
    ];
    let step = STEPS.into_iter().find(|step| seconds / step <= MOST);
    // Of whole days, as many as it takes.
    let step = step.unwrap_or_else(|| (seconds / MOST / 86_400.0).ceil() * 86_400.0);
    let (unit, name) = match step {
        ..60.0 => (1.0, "s"),
        ..3_600.0 => (60.0, "min"),
        _ => (3_600.0, "h"),
    };
    let marks = (seconds / step + 1e-9).floor() as usize;
    let label = |at: f64| {
        let value = at / unit;
        if step < 1.0 { format!("{value:.1} {name}") } else { format!("{value:.0} {name}") }
    };
    (0..=marks).map(|mark| mark as f64 * step).map(|at| (at, label(at))).collect()
}

/// A logarithmic axis of microseconds, from a 1, 2 or 5 of a decade to another.
pub(super) struct Decades {
    low: f64,
    high: f64,
}

/// A mark of such an axis.
pub(super) struct Mark {
    pub(super) us: f64,
    /// The beginning of a decade.
    pub(super) is_strong: bool,
    /// None where there would be too many.
    pub(super) label: Option<String>,
}

impl Decades {
    /// An axis on which all values lie, and that is no shorter than a decade.
    pub(super) fn around(low_us: u64, high_us: u64) -> Self {
        let low = low_us.max(1) as f64;
        let high = (high_us as f64).max(low * 10.0);
        let below = |us: f64| {
            let power = 10_f64.powf(us.log10().floor());
            [5.0, 2.0, 1.0].map(|n| n * power).into_iter().find(|mark| *mark <= us).unwrap_or(us)
        };
        let above = |us: f64| {
            let power = 10_f64.powf(us.log10().floor());
            let marks = [1.0, 2.0, 5.0, 10.0].map(|n| n * power);
            marks.into_iter().find(|mark| *mark >= us).unwrap_or(us)
        };
        Self { low: below(low), high: above(high) }
    }

    /// Where a value lies, from 0 to 1.
    pub(super) fn position(&self, us: f64) -> f64 {
        let position = (us.max(1e-3) / self.low).ln() / (self.high / self.low).ln();
        position.clamp(0.0, 1.0)
    }

    /// The 1, 2 and 5 of each decade; if there are many decades, only their beginnings are labelled.
    pub(super) fn marks(&self) -> Vec<Mark> {
        const FEW_DECADES: f64 = 2.5;
        let all_labelled = (self.high / self.low).log10() <= FEW_DECADES;
        let first = self.low.log10().floor() as i32;
        let last = self.high.log10().ceil() as i32;
        let marks = (first..=last).flat_map(|power| [1.0, 2.0, 5.0].map(|n| (n, power)));
        marks
            .map(|(n, power)| (n == 1.0, n * 10_f64.powi(power)))
            .filter(|(_, us)| *us >= self.low * 0.999 && *us <= self.high * 1.001)
            .map(|(is_strong, us)| {
                let label = (is_strong || all_labelled).then(|| round_latency(us));
                Mark { us, is_strong, label }
            })
            .collect()
    }
}

/// A round number of microseconds in the unit that suits it.
fn round_latency(us: f64) -> String {
    match us {
        ..1e3 => format!("{us:.0} µs"),
        ..1e6 => format!("{:.0} ms", us / 1e3),
        _ => format!("{} s", count((us / 1e6).round() as u64)),
    }
}
