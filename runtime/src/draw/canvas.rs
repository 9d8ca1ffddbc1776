//! Lines, dots and text on an RGB picture; whatever lies outside is cut off.

use embedded_graphics::Drawable;
use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{OriginDimensions, Point, Size};
use embedded_graphics::mono_font::iso_8859_1::{FONT_6X10, FONT_7X13_BOLD, FONT_9X18_BOLD, FONT_10X20};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::primitives::{
    Circle, Line, Primitive, PrimitiveStyle, PrimitiveStyleBuilder, Rectangle, StrokeAlignment,
};
use embedded_graphics::text::{Baseline, Text};
use image::RgbImage;

use super::palette::Colour;

/// Coordinates are held to this, far beyond every picture, so that sums of them cannot overflow.
const FAR: f32 = 1e6;
/// How far outside the picture, in pixels, a dashed box still has its dashes.
const SMALL_PART: f32 = 64.0;
/// Longest label drawn, in characters.
const LONGEST: usize = 48;

/// A picture to draw on, with a pen that fits its size.
pub struct Canvas<'a> {
    pixels: Pixels<'a>,
    line: u32,
    font: &'static MonoFont<'static>,
    /// Picture pixels per font pixel.
    zoom: u32,
}

impl<'a> Canvas<'a> {
    pub fn new(picture: &'a mut RgbImage) -> Self {
        let (width, height) = picture.dimensions();
        let (line, font, zoom) = pen(width.min(height));
        Self { pixels: Pixels { picture, zoom: 1, origin: Point::zero() }, line, font, zoom }
    }

    /// The same with lines of at least `least` pixels.
    pub fn with_lines_from(mut self, least: u32) -> Self {
        self.line = self.line.max(least);
        self
    }

    /// The outline of a box, drawn inwards, with a thin dark line around so that it stands out from any ground.
    pub fn outline(&mut self, [x1, y1, x2, y2]: [f32; 4], colour: Colour) {
        // Corners are pixel edges: the last pixel inside ends at x2, y2.
        let area = Rectangle::with_corners(point([x1, y1]), point([(x2 - 1.0).max(x1), (y2 - 1.0).max(y1)]));
        let style = |colour, width, alignment| {
            PrimitiveStyleBuilder::new()
                .stroke_color(colour)
                .stroke_width(width)
                .stroke_alignment(alignment)
                .build()
        };
        draw(
            &area.into_styled(style(Rgb888::BLACK, self.line.div_ceil(3), StrokeAlignment::Outside)),
            &mut self.pixels,
        );
        draw(
            &area.into_styled(style(pen_colour(colour), self.line, StrokeAlignment::Inside)),
            &mut self.pixels,
        );
    }

    /// The outline of a box in dashes with thin dark edges; what is drawn in the same place shows between them.
    pub fn dashed_outline(&mut self, bbox: [f32; 4], colour: Colour) {
        // The longest side of any picture bounds how many dashes can be seen; a box far beyond it is cut off first.
        let (width, height) = self.pixels.picture.dimensions();
        let held = |value: f32, side: u32| value.clamp(-SMALL_PART, side as f32 + SMALL_PART);
        let [x1, y1] = [held(bbox[0], width), held(bbox[1], height)];
        let [x2, y2] = [held(bbox[2] - 1.0, width).max(x1), held(bbox[3] - 1.0, height).max(y1)];
        let dash = (self.line * 4).max(6) as f32;
        let corners = [[x1, y1], [x2, y1], [x2, y2], [x1, y2], [x1, y1]];
        for side in corners.windows(2) {
            let ([ax, ay], [bx, by]) = (side[0], side[1]);
            let length = (bx - ax).abs() + (by - ay).abs();
            let at = |way: f32| {
                if length > 0.0 {
                    [ax + (bx - ax) * way / length, ay + (by - ay) * way / length]
                } else {
                    [ax, ay]
                }
            };
            let mut way = 0.0;
            while way <= length {
                let ends = [at(way), at((way + dash).min(length))];
                let under = PrimitiveStyle::with_stroke(Rgb888::BLACK, self.line + 2 * self.line.div_ceil(3));
                draw(&Line::new(point(ends[0]), point(ends[1])).into_styled(under), &mut self.pixels);
                self.line(ends[0], ends[1], colour);
                way += dash * 2.0;
            }
        }
    }

    /// A line between two points.
    pub fn line(&mut self, from: [f32; 2], to: [f32; 2], colour: Colour) {
        let style = PrimitiveStyle::with_stroke(pen_colour(colour), self.line);
        draw(&Line::new(point(from), point(to)).into_styled(style), &mut self.pixels);
    }

    /// A keypoint: a dot, or only a ring.
    pub fn dot(&mut self, at: [f32; 2], colour: Colour, filled: bool) {
        let shape = Circle::with_center(point(at), self.line * 4 + 1);
        let fill =
            PrimitiveStyleBuilder::new().stroke_color(Rgb888::WHITE).stroke_width(self.line.div_ceil(2));
        let ring = PrimitiveStyle::with_stroke(pen_colour(colour), self.line.div_ceil(2));
        let style = if filled { fill.fill_color(pen_colour(colour)).build() } else { ring };
        draw(&shape.into_styled(style), &mut self.pixels);
    }

    /// `text` on a field of `colour`, above the box where there is room, else inside its top edge; moved into the picture.
    pub fn label(&mut self, [x1, y1, ..]: [f32; 4], text: &str, colour: Colour) {
        let text: String = text.chars().take(LONGEST).map(|c| if c.is_control() { '?' } else { c }).collect();
        let size = self.text_size(&text);
        let margin = self.zoom * 2;
        let field = Size::new(size.width + 2 * margin, size.height + margin);
        let mut at = point([x1, y1]);
        let above = at.y.saturating_sub_unsigned(field.height);
        at.y = if above >= 0 { above } else { at.y.max(0) };
        at.x = at.x.min(signed(self.pixels.picture.width()) - signed(field.width)).max(0);
        let ground = PrimitiveStyle::with_fill(pen_colour(colour));
        draw(&Rectangle::new(at, field).into_styled(ground), &mut self.pixels);
        let origin = at + Point::new(signed(margin), signed(margin / 2));
        let mut zoomed = Pixels { picture: &mut *self.pixels.picture, zoom: self.zoom, origin };
        let style = MonoTextStyle::new(self.font, pen_colour(colour.ink()));
        draw(&Text::with_baseline(&text, Point::zero(), style, Baseline::Top), &mut zoomed);
    }

    fn text_size(&self, text: &str) -> Size {
        let letters = u32::try_from(text.chars().count()).unwrap_or_default();
        let letter = self.font.character_size;
        Size::new(letters * (letter.width + self.font.character_spacing), letter.height) * self.zoom
    }
}

/// Line width, font and zoom for a picture whose shorter side is `side`: letters of about a fortieth of it.
fn pen(side: u32) -> (u32, &'static MonoFont<'static>, u32) {
    let line = (side / 270).max(1);
    match side / 40 {
        0..=5 => (line, &FONT_6X10, 1),
        6..=15 => (line, &FONT_7X13_BOLD, 1),
        height @ 16..=35 if height < 30 => (line, &FONT_9X18_BOLD, 1),
        height => (line, if height < 45 { &FONT_9X18_BOLD } else { &FONT_10X20 }, (height / 20).max(2)),
    }
}

fn signed(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// Held to ±[`FAR`]; not a number becomes 0.
#[allow(clippy::cast_possible_truncation)]
fn point([x, y]: [f32; 2]) -> Point {
    let whole = |value: f32| value.clamp(-FAR, FAR).round() as i32;
    Point::new(whole(x), whole(y))
}

fn pen_colour(Colour { red, green, blue }: Colour) -> Rgb888 {
    Rgb888::new(red, green, blue)
}

fn draw<D: Drawable<Color = Rgb888>>(what: &D, onto: &mut Pixels<'_>) {
    let Ok(_) = what.draw(onto);
}

/// The picture as a target: each pixel drawn becomes a square of `zoom` picture pixels, counted from `origin`.
struct Pixels<'a> {
    picture: &'a mut RgbImage,
    zoom: u32,
    origin: Point,
}

impl OriginDimensions for Pixels<'_> {
    fn size(&self) -> Size {
        Size::new(self.picture.width(), self.picture.height())
    }
}

impl DrawTarget for Pixels<'_> {
    type Color = Rgb888;
    type Error = std::convert::Infallible;

    fn draw_iter<I>(&mut self, pixels: I) -> Result<(), Self::Error>
    where
        I: IntoIterator<Item = embedded_graphics::Pixel<Rgb888>>,
    {
        for embedded_graphics::Pixel(at, colour) in pixels {
            self.fill_solid(&Rectangle::new(at, Size::new(1, 1)), colour)?;
        }
        Ok(())
    }

    fn fill_solid(&mut self, area: &Rectangle, colour: Rgb888) -> Result<(), Self::Error> {
        let zoom = i64::from(self.zoom);
        let (width, height) = self.picture.dimensions();
        let span = |start: i32, length: u32, origin: i32, side: u32| {
            let first = i64::from(start) * zoom + i64::from(origin);
            let end = first + i64::from(length) * zoom;
            let held = |value: i64| u32::try_from(value.clamp(0, i64::from(side))).unwrap_or_default();
            held(first)..held(end)
        };
        let columns = span(area.top_left.x, area.size.width, self.origin.x, width);
        for y in span(area.top_left.y, area.size.height, self.origin.y, height) {
            for x in columns.clone() {
                self.picture.put_pixel(x, y, image::Rgb([colour.r(), colour.g(), colour.b()]));
            }
        }
        Ok(())
    }
}
