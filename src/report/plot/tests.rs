use super::axis::{Decades, linear, moments, number};
use super::*;

/// Enough of a parser to find what a browser would not show: tags that do not match, attributes without quotes,
/// bare `&` and `<`.
#[track_caller]
fn assert_well_formed(svg: &str) {
    let mut open = Vec::new();
    let mut rest = svg;
    while let Some(start) = rest.find('<') {
        assert_text(&rest[..start]);
        let end = rest[start..].find('>').expect("a tag ends") + start;
        let tag = &rest[start + 1..end];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "in {svg}");
        } else {
            let name = tag.split([' ', '/']).next().expect("a name");
            let attributes = tag[name.len()..].trim_end_matches('/');
            for (index, part) in attributes.split('"').enumerate() {
                match index % 2 {
                    0 => assert!(part.trim().is_empty() || part.ends_with('='), "{tag}"),
                    _ => assert_text(part),
                }
            }
            assert_eq!(attributes.matches('"').count() % 2, 0, "{tag}");
            if !tag.ends_with('/') {
                open.push(name);
            }
        }
        rest = &rest[end + 1..];
    }
    assert_eq!((open.as_slice(), rest.trim()), ([].as_slice(), ""));
    for word in ["NaN", "inf"] {
        assert!(!svg.contains(word), "{svg}");
    }
}

#[track_caller]
fn assert_text(text: &str) {
    assert!(!text.contains(['<', '>']), "{text}");
    for entity in text.split('&').skip(1) {
        let name = entity.split(';').next().unwrap_or_default();
        assert!(["amp", "lt", "gt", "quot", "#39"].contains(&name), "{text}");
    }
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
}

fn over_time(points: &[(f64, f64)]) -> OverTime {
    let series = Series { name: "a".into(), points: points.to_vec() };
    OverTime { title: "t".into(), unit: "pairs per second".into(), series: vec![series] }
}

fn latencies(counts: &[(u64, u64)]) -> LatencyPlot {
    let row = Latencies { name: "read".into(), counts: counts.to_vec(), ..Latencies::default() };
    LatencyPlot { title: "t".into(), rows: vec![row] }
}

#[test]
fn every_plot_is_well_formed_whatever_there_is_to_show() {
    assert_well_formed(&OverTime::default().svg());
    assert_well_formed(&LatencyPlot::default().svg());
    let nan = f64::NAN;
    let cases: [&[(f64, f64)]; 6] = [
        &[],
        &[(0.0, 0.0)],
        &[(5.0, 3.0)],
        &[(1.0, 0.0), (2.0, 0.0)],
        &[(1.0, nan), (nan, 1.0), (2.0, f64::INFINITY), (-1.0, 2.0)],
        &[(1.0, 1e12), (1e7, 1e-9)],
    ];
    for points in cases {
        assert_well_formed(&over_time(points).svg());
    }
    let rows: [&[(u64, u64)]; 5] =
        [&[], &[(0, 1)], &[(7, 1)], &[(7, 0)], &[(0, 3), (u64::MAX / 2, 1)]];
    for counts in rows {
        assert_well_formed(&latencies(counts).svg());
    }
}

#[test]
fn text_of_others_cannot_become_markup() {
    let name = "</text><script>alert('\"&\u{1}\n')</script>".to_owned();
    let series = Series { name: name.clone(), points: vec![(1.0, 1.0)] };
    let plot = OverTime { title: name.clone(), unit: name.clone(), series: vec![series; 2] };
    let row = Latencies { name: name.clone(), counts: vec![(5, 1)], ..Latencies::default() };
    for svg in [plot.svg(), LatencyPlot { title: name, rows: vec![row] }.svg()] {
        assert_well_formed(&svg);
        assert!(!svg.contains("<script") && svg.contains("&lt;script"), "{svg}");
    }
}

#[test]
fn plots_stand_alone_and_follow_the_scheme() {
    let svg = over_time(&[(1.0, 2.0), (2.0, 3.0)]).svg();
    assert!(svg.contains("prefers-color-scheme:dark"), "{svg}");
    let loads = ["href", "url(", "@import", "<script"];
    assert!(!loads.iter().any(|word| svg.contains(word)), "{svg}");
    assert_eq!(svg.matches("http").count(), 1, "the name space and nothing else: {svg}");
}

#[test]
fn long_series_are_thinned() {
    let points: Vec<_> = (0..36_000).map(|n| (f64::from(n), 100.0)).collect();
    assert!(over_time(&points).svg().len() < 20_000);
}

#[test]
fn a_point_on_a_line_is_where_it_should_be() {
    // The highest mark of the axis is 100, at the top; the last moment is at the right.
    let svg = over_time(&[(0.0, 0.0), (10.0, 100.0)]).svg();
    assert!(svg.contains("d=\"M84 282L688 78\""), "{svg}");
}

#[test]
fn percentiles_are_told_and_marked() {
    let svg = latencies(&[(1_000, 900), (20_000, 90), (300_000, 9), (2_000_000, 1)]).svg();
    for text in ["p50 1.00 ms", "p90 1.00 ms", "p99 20.0 ms", "p99.9 300 ms", ">1,000<"] {
        assert!(svg.contains(text), "{text} in {svg}");
    }
    for label in [">1 ms<", ">10 ms<", ">100 ms<", ">1 s<"] {
        assert!(svg.contains(label), "{label} in {svg}");
    }
}

#[test]
fn linear_marks_are_round_and_few() {
    assert_eq!(linear(0.0), [0.0, 0.25, 0.5, 0.75, 1.0]);
    assert_eq!(linear(f64::NAN).last(), Some(&1.0));
    assert_eq!(linear(2_345.0), [0.0, 1_000.0, 2_000.0, 3_000.0]);
    assert_eq!(linear(4_000.0), [0.0, 1_000.0, 2_000.0, 3_000.0, 4_000.0]);
    for n in 1..2_000 {
        let max = f64::from(n) * 0.37;
        let marks = linear(max);
        assert!((3..=6).contains(&marks.len()), "{max}: {marks:?}");
        let top = marks[marks.len() - 1];
        assert!(top >= max * 0.999 && top <= max * 1.7, "{max}: {marks:?}");
    }
    assert_eq!([0.0, 0.25, 2.5, 2_500.0].map(number), ["0", "0.25", "2.5", "2,500"]);
}

#[test]
fn moments_are_told_in_the_unit_that_suits_them() {
    let labels = |seconds: f64| -> Vec<String> {
        moments(seconds).into_iter().map(|(_, label)| label).collect()
    };
    assert_eq!(labels(1.0), ["0.0 s", "0.2 s", "0.4 s", "0.6 s", "0.8 s", "1.0 s"]);
    assert_eq!(labels(25.0), ["0 s", "5 s", "10 s", "15 s", "20 s", "25 s"]);
    assert_eq!(labels(1_200.0), ["0 min", "5 min", "10 min", "15 min", "20 min"]);
    assert_eq!(labels(20_000.0), ["0 h", "1 h", "2 h", "3 h", "4 h", "5 h"]);
    for seconds in [0.0, 3.0, 59.0, 3_601.0, 1e6, 1e9] {
        assert!((1..=8).contains(&labels(seconds).len()), "{seconds}");
    }
}

#[test]
fn decades_hold_all_values_and_label_what_can_be_read() {
    let axis = Decades::around(130, 1_400_000);
    let marks = axis.marks();
    assert_eq!((marks[0].us, marks[marks.len() - 1].us), (100.0, 2_000_000.0));
    let labels: Vec<_> = marks.iter().filter_map(|mark| mark.label.as_deref()).collect();
    assert_eq!(labels, ["100 µs", "1 ms", "10 ms", "100 ms", "1 s"]);
    assert_eq!((axis.position(100.0), axis.position(2e6)), (0.0, 1.0));
    assert_eq!((axis.position(0.0), axis.position(1e12)), (0.0, 1.0), "nothing is drawn outside");
    let short = Decades::around(1_000, 1_100);
    let labels: Vec<_> = short.marks().into_iter().filter_map(|mark| mark.label).collect();
    assert_eq!(labels, ["1 ms", "2 ms", "5 ms", "10 ms"]);
}

#[test]
fn what_is_counted_together_is_drawn_over_its_breadth() {
    // As many in each step of the axis: no ripple, whatever the columns of the shape.
    let step = 10_f64.powf(0.05);
    let counts = (0..=20).map(|n| ((1_000.0 * step.powi(n)).ceil() as u64, 100)).collect();
    let row = Latencies { name: "read".into(), counts, step, percentiles: Some([1, 2, 3, 4]) };
    let svg = LatencyPlot { title: "t".into(), rows: vec![row] }.svg();
    assert_well_formed(&svg);
    assert!(svg.contains("p50 1 µs") && svg.contains("p99.9 4 µs"), "{svg}");
    let line = svg.split("class=\"line\"").nth(1).expect("a shape");
    let line = line.split("d=\"").nth(1).expect("a path").split('"').next().expect("it ends");
    let heights: Vec<f64> =
        line.split(['M', 'L']).filter_map(|point| point.split(' ').nth(1)?.parse().ok()).collect();
    let inner = &heights[10..heights.len() - 10];
    let (low, high) = inner.iter().fold((f64::MAX, 0.0_f64), |(l, h), y| (l.min(*y), h.max(*y)));
    assert!(inner.len() > 50 && high - low < 4.0, "{heights:?}");
}
