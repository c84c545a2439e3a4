//! Straight lines through measurements.

/// Measurements of one kind, and what they are of.
pub struct Series {
    pub title: String,
    pub x_name: &'static str,
    pub y_name: &'static str,
    pub points: Vec<(f64, f64)>,
}

/// `y = intercept + slope x`, by least squares.
pub struct Fit {
    pub slope: f64,
    pub intercept: f64,
    /// Part of the variance that the line explains.
    pub r_squared: f64,
    /// Largest distance of a point from the line, as a part of the largest value.
    pub largest_deviation: f64,
}

impl Fit {
    /// Through two points or more.
    pub fn of(points: &[(f64, f64)]) -> Self {
        let n = points.len() as f64;
        let mean = |f: fn(&(f64, f64)) -> f64| points.iter().map(f).sum::<f64>() / n;
        let (mx, my) = (mean(|p| p.0), mean(|p| p.1));
        let sum = |f: &dyn Fn(f64, f64) -> f64| points.iter().map(|(x, y)| f(x - mx, y - my)).sum::<f64>();
        let slope = sum(&|x, y| x * y) / sum(&|x, _| x * x);
        let intercept = my - slope * mx;
        let off: Vec<f64> = points.iter().map(|(x, y)| y - intercept - slope * x).collect();
        let largest = points.iter().map(|p| p.1).fold(0.0, f64::max);
        Self {
            slope,
            intercept,
            r_squared: 1.0 - off.iter().map(|o| o * o).sum::<f64>() / sum(&|_, y| y * y),
            largest_deviation: off.iter().fold(0.0, |m, o| o.abs().max(m)) / largest,
        }
    }

    pub fn at(&self, x: f64) -> f64 {
        self.intercept + self.slope * x
    }
}
