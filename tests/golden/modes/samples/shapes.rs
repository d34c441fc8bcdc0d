use std::collections::HashMap;

/// A shape with a name.
#[derive(Debug, Clone)]
pub enum Shape<'a> {
    Circle { name: &'a str, radius: f64 },
    Square(f64),
}

pub struct Shapes<'a> {
    all: HashMap<String, Shape<'a>>,
}

impl<'a> Shapes<'a> {
    pub fn area(&self, name: &str) -> Option<f64> {
        let Some(shape) = self.all.get(name) else {
            return None;
        };
        match shape {
            Shape::Circle { radius, .. } => {
                let area = 3.14 * radius * radius;
                Some(area)
            }
            Shape::Square(side) if *side > 0.0 => Some(side * side),
            _ => None,
        }
    }

    pub fn total(&self) -> f64 {
        let mut sum = 0.0;
        for (name, shape) in &self.all {
            if name.starts_with('}') {
                continue;
            } else if let Shape::Square(side) = shape {
                sum += side * side;
            } else {
                sum += self.area(name).unwrap_or(0.0);
            }
        }
        while sum > 1e9 {
            sum /= 10.0;
        }
        sum
    }
}

fn main() {
    let text = r#"{"a": "}"}"#;
    let longest = text.split('"').map(|part| {
        let n = part.len();
        n + 1
    }).max();
    println!("{:?} {}", longest, if text.is_empty() { 0 } else { 1 });
}
