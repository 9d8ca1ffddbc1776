use super::*;

fn categories(names: &[&str]) -> Vec<Category> {
    names.iter().zip(1..).map(|(name, id)| Category { id, name: (*name).into() }).collect()
}

fn labels(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn pair(label: &str, category: &str) -> (String, String) {
    (label.into(), category.into())
}

#[test]
fn names_go_together_exactly_else_loosely_and_loosely_is_told() {
    let assigned = Labels::assign(
        &labels(&["person", "stop_sign", "kite"]),
        &categories(&["Stop Sign", "person", "car"]),
        &[],
    )
    .unwrap();
    assert_eq!(assigned.category_of, [Some(1), Some(0), None]);
    assert_eq!(assigned.known, [true, true, false]);
    assert_eq!(assigned.told.len(), 1);
}

#[test]
fn a_loose_name_that_fits_two_categories_fits_none() {
    let assigned =
        Labels::assign(&labels(&["stop-sign", "car"]), &categories(&["stop sign", "stop_sign", "car"]), &[])
            .unwrap();
    assert_eq!(assigned.category_of, [None, Some(2)]);
}

#[test]
fn a_map_goes_before_names_and_many_labels_may_be_one_category() {
    let maps = [pair("car", "vehicle"), pair("truck", "vehicle")];
    let assigned =
        Labels::assign(&labels(&["car", "truck"]), &categories(&["vehicle", "car"]), &maps).unwrap();
    assert_eq!(assigned.category_of, [Some(0), Some(0)]);
}

#[test]
fn a_map_of_what_does_not_exist_is_refused_with_what_there_is() {
    let (labels, categories) = (labels(&["car"]), categories(&["car"]));
    let told = Labels::assign(&labels, &categories, &[pair("bus", "car")]).unwrap_err().to_string();
    assert!(told.contains("no label \"bus\"; it has \"car\""), "{told}");
    let told = Labels::assign(&labels, &categories, &[pair("car", "auto")]).unwrap_err().to_string();
    assert!(told.contains("no category \"auto\"; it has \"car\""), "{told}");
}

#[test]
fn nothing_in_common_is_refused_with_both_lists() {
    let told = Labels::assign(&labels(&["car"]), &categories(&["dog"]), &[]).unwrap_err().to_string();
    assert!(told.contains("\"car\"") && told.contains("\"dog\"") && told.contains("--map"), "{told}");
}

#[test]
fn a_map_is_two_names_with_an_equals_sign_between() {
    assert_eq!(parse_map("a=b=c"), Ok(pair("a", "b=c")));
    assert!(parse_map("a").is_err() && parse_map("=b").is_err() && parse_map("a=").is_err());
}
