//! A picture as brightness values, for measuring.

use image::RgbImage;

/// Brightness 0 to 255, row after row.
#[derive(Clone, Debug)]
pub struct Grey {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// `width` × `height` values.
    pub values: Vec<f32>,
}

impl Grey {
    /// The brightness (BT.601) of a colour picture.
    pub fn of(picture: &RgbImage) -> Self {
        let values = picture
            .pixels()
            .map(|p| 0.299 * f32::from(p[0]) + 0.587 * f32::from(p[1]) + 0.114 * f32::from(p[2]))
            .collect();
        Self { width: picture.width() as usize, height: picture.height() as usize, values }
    }

    /// The value of a pixel; of the nearest one outside the picture.
    pub fn at(&self, x: isize, y: isize) -> f32 {
        let x = x.clamp(0, self.width as isize - 1) as usize;
        let y = y.clamp(0, self.height as isize - 1) as usize;
        self.values[y * self.width + x]
    }

    /// The value between pixels, by bilinear interpolation.
    pub fn between(&self, x: f64, y: f64) -> f32 {
        let (left, top) = (x.floor(), y.floor());
        let (a, b) = ((x - left) as f32, (y - top) as f32);
        let (i, j) = (left as isize, top as isize);
        let above = self.at(i, j) * (1.0 - a) + self.at(i + 1, j) * a;
        let below = self.at(i, j + 1) * (1.0 - a) + self.at(i + 1, j + 1) * a;
        above * (1.0 - b) + below * b
    }

    /// Half the size, each value the mean of four.
    pub fn halved(&self) -> Self {
        let (width, height) = (self.width / 2, self.height / 2);
        let mut values = Vec::with_capacity(width * height);
        for y in 0..height {
            let above = &self.values[2 * y * self.width..][..self.width];
            let below = &self.values[(2 * y + 1) * self.width..][..self.width];
            let pairs = above.chunks_exact(2).zip(below.chunks_exact(2));
            values.extend(pairs.map(|(a, b)| (a[0] + a[1] + b[0] + b[1]) / 4.0));
        }
        Self { width, height, values }
    }

    /// Smoothed with a Gaussian of `sigma` pixels.
    pub fn smoothed(&self, sigma: f32) -> Self {
        let kernel = gaussian(sigma);
        self.blurred_across(&kernel).transposed().blurred_across(&kernel).transposed()
    }

    fn blurred_across(&self, kernel: &[f32]) -> Self {
        let reach = kernel.len() / 2;
        let mut padded = vec![0.0; self.width + 2 * reach];
        let mut values = Vec::with_capacity(self.values.len());
        for row in self.values.chunks_exact(self.width) {
            padded[..reach].fill(row[0]);
            padded[reach..reach + self.width].copy_from_slice(row);
            padded[reach + self.width..].fill(row[self.width - 1]);
            let start = values.len();
            values.resize(start + self.width, 0.0);
            for (shift, weight) in kernel.iter().enumerate() {
                for (to, from) in values[start..].iter_mut().zip(&padded[shift..]) {
                    *to += weight * from;
                }
            }
        }
        Self { width: self.width, height: self.height, values }
    }

    fn transposed(&self) -> Self {
        let mut values = vec![0.0; self.values.len()];
        for (y, row) in self.values.chunks_exact(self.width).enumerate() {
            for (x, value) in row.iter().enumerate() {
                values[x * self.height + y] = *value;
            }
        }
        Self { width: self.height, height: self.width, values }
    }
}

/// Weights of a Gaussian out to three sigma, their sum 1.
fn gaussian(sigma: f32) -> Vec<f32> {
    let reach = (3.0 * sigma).ceil() as i32;
    let raw: Vec<f32> = (-reach..=reach).map(|i| (-0.5 * (i as f32 / sigma).powi(2)).exp()).collect();
    let sum: f32 = raw.iter().sum();
    raw.into_iter().map(|weight| weight / sum).collect()
}
