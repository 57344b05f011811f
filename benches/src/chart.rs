//! The picture that README shows: four rows, three bars each, drawn by plotters as SVG.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::{
    figures::{Figures, What},
    subject::Kind,
};

/// The rows that are drawn.
const SHOWN: [What; 4] = [What::CpuInjecting, What::CpuNothing, What::PeakMany, What::Added];

const SIZE: (u32, u32) = (860, 420);

/// Draws what there is of the rows to `path`.
pub(crate) fn draw(figures: &Figures, path: &Path) -> Result<()> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(|error| anyhow!("cannot draw: {error}"))?;
    for (area, what) in root.split_evenly((2, 2)).iter().zip(SHOWN) {
        panel(area, figures, what).map_err(|error| anyhow!("cannot draw: {error}"))?;
    }
    root.present().map_err(|error| anyhow!("cannot write {}: {error}", path.display()))
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// One row: a bar for each subject, with its value.
fn panel(area: &Area<'_>, figures: &Figures, what: What) -> Result<(), Box<dyn std::error::Error>> {
    const LEFT: i32 = 120;
    const TOP: i32 = 48;
    const STEP: i32 = 44;
    const WIDEST: f64 = 220.0;

    let (title, unit) = what.title();
    area.draw(&Text::new(title, (14, 14), ("sans-serif", 15).into_font()))?;
    let bars: Vec<_> = Kind::ALL
        .into_iter()
        .filter_map(|kind| Some((kind, figures.median(what, kind)?)))
        .collect();
    let most = bars.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
    for (row, (kind, value)) in bars.into_iter().enumerate() {
        let top = TOP + STEP * i32::try_from(row)?;
        #[expect(clippy::cast_possible_truncation, reason = "at most WIDEST")]
        let width = (value / most * WIDEST).max(1.0) as i32;
        let colour = match kind {
            Kind::Ours => RGBColor(0, 122, 92),
            Kind::Theirs => RGBColor(150, 150, 150),
            Kind::Noop => RGBColor(205, 205, 205),
        };
        let name = match (kind, what) {
            (Kind::Noop, What::Added) => "constant patch",
            _ => kind.name(),
        };
        area.draw(&Text::new(name, (14, top + 7), ("sans-serif", 13).into_font()))?;
        area.draw(&Rectangle::new([(LEFT, top), (LEFT + width, top + 26)], colour.filled()))?;
        let value = format!("{value:.0} {unit}");
        area.draw(&Text::new(value, (LEFT + width + 8, top + 7), ("sans-serif", 13).into_font()))?;
    }
    Ok(())
}
