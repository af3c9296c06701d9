//! The table at the end: what was measured, its floor, and whether gate and goal are met.

use std::time::Duration;

/// How good something has to be.
#[derive(Clone, Copy)]
pub enum Limit {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
}

impl Limit {
    fn met(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
        }
    }

    fn text(self, unit: Unit) -> String {
        match self {
            Self::AtMost(limit) => format!("≤ {}", unit.text(limit)),
            Self::AtLeast(limit) => format!("≥ {}", unit.text(limit)),
        }
    }
}

/// What a number counts.
#[derive(Clone, Copy)]
pub enum Unit {
    /// A multiple of the floor.
    Times,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Requests per second.
    PerSecond,
    /// A share of something, 1 being all of it.
    Share,
}

impl Unit {
    /// A number with three digits that mean something.
    pub fn text(self, value: f64) -> String {
        match self {
            Self::Times => format!("{value:.2} ×"),
            Self::Seconds => duration(value),
            Self::Bytes => format!("{:.1} MB", value / 1e6),
            Self::PerSecond if value < 1_000.0 => format!("{value:.1} /s"),
            Self::PerSecond => format!("{:.1} k/s", value / 1e3),
            Self::Share => format!("{:.1} %", value * 100.0),
        }
    }
}

fn duration(seconds: f64) -> String {
    let (scale, unit) = match seconds.abs() {
        value if value < 1e-6 => (1e9, "ns"),
        value if value < 1e-3 => (1e6, "µs"),
        value if value < 1.0 => (1e3, "ms"),
        _ => (1.0, "s"),
    };
    let value = seconds * scale;
    let digits = if value.abs() < 10.0 { 2 } else { 1 };
    format!("{value:.digits$} {unit}")
}

/// The rows gathered so far.
#[derive(Default)]
pub struct Report {
    rows: Vec<[String; 8]>,
    gates: (usize, usize),
    goals: (usize, usize),
}

impl Report {
    /// A row that is judged by its ratio to a floor of the same run. Seconds are lower is better: the ratio is
    /// measured over floor in any unit.
    pub fn against_floor(
        &mut self,
        what: impl Into<String>,
        unit: Unit,
        measured: f64,
        floor: f64,
        limits: Option<(Limit, Limit)>,
    ) {
        self.compared(what, unit, measured, floor, measured / floor, limits);
    }

    /// The same where the ratio is the middle of several rounds' and not that of the middles.
    pub fn compared(
        &mut self,
        what: impl Into<String>,
        unit: Unit,
        measured: f64,
        floor: f64,
        ratio: f64,
        limits: Option<(Limit, Limit)>,
    ) {
        self.push(
            what.into(),
            unit.text(measured),
            unit.text(floor),
            Unit::Times.text(ratio),
            limits.map(|(gate, goal)| (gate, goal, Unit::Times, ratio)),
        );
    }

    /// A row that is judged by itself.
    pub fn absolute(
        &mut self,
        what: impl Into<String>,
        unit: Unit,
        measured: f64,
        limits: Option<(Limit, Limit)>,
    ) {
        self.push(
            what.into(),
            unit.text(measured),
            String::new(),
            String::new(),
            limits.map(|(gate, goal)| (gate, goal, unit, measured)),
        );
    }

    /// A row that nothing has been measured for.
    pub fn missing(&mut self, what: impl Into<String>, why: &str) {
        self.push(
            what.into(),
            why.to_owned(),
            String::new(),
            String::new(),
            None,
        );
    }

    fn push(
        &mut self,
        what: String,
        measured: String,
        floor: String,
        ratio: String,
        limits: Option<(Limit, Limit, Unit, f64)>,
    ) {
        let mut row = [
            what,
            measured,
            floor,
            ratio,
            String::new(),
            String::new(),
            String::new(),
            String::new(),
        ];
        if let Some((gate, goal, unit, value)) = limits {
            for (place, limit, count) in [(4, gate, &mut self.gates), (6, goal, &mut self.goals)] {
                let met = limit.met(value);
                row[place] = limit.text(unit);
                row[place + 1] = if met { "met" } else { "MISSED" }.to_owned();
                count.0 += usize::from(met);
                count.1 += 1;
            }
        }
        self.rows.push(row);
    }

    /// Prints all of it.
    pub fn print(&self) {
        let head =
            ["what", "measured", "floor", "ratio", "gate", "", "goal", ""].map(str::to_owned);
        let mut widths = [0; 8];
        for row in std::iter::once(&head).chain(&self.rows) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        println!();
        let line = |row: &[String; 8]| {
            let mut text = String::new();
            for (place, (cell, width)) in row.iter().zip(widths).enumerate() {
                let padding = " ".repeat(width - cell.chars().count());
                let numeric = (1..4).contains(&place);
                text.push_str(if place == 0 { "" } else { " │ " });
                text.push_str(if numeric { &padding } else { "" });
                text.push_str(cell);
                text.push_str(if numeric { "" } else { &padding });
            }
            println!("{}", text.trim_end());
        };
        line(&head);
        println!("{}", widths.map(|width| "─".repeat(width)).join("─┼─"));
        self.rows.iter().for_each(line);
        println!(
            "\ngates: {} of {} met · goals: {} of {} met",
            self.gates.0, self.gates.1, self.goals.0, self.goals.1
        );
    }
}

/// What it was measured on.
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let model = std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        })
        .unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?");
    format!("{cores} cores ({model}), load {load} at the start")
}

/// The middle of some values.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The value below which `share` of them lie.
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (values.len() as f64 * share) as usize;
    values
        .get(place.min(values.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}

/// Seconds as people say them.
pub fn seconds(duration: Duration) -> String {
    self::duration(duration.as_secs_f64())
}
