//! Names that published models share and do not carry in the file.

/// COCO's 80 classes in the order of their category ids, without the gaps (YOLO, NanoDet, RT-DETR and most others).
pub(super) const COCO_80: &str = "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,\
stop sign,parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,\
suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,\
wine glass,cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,\
potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,sink,refrigerator,\
book,clock,vase,scissors,teddy bear,hair drier,toothbrush";

/// Names of COCO's category ids 1 to 90, with those the dataset lists but never annotates (TensorFlow's and torchvision's
/// numbering, DETR's from 0 on).
pub(super) const COCO_90: &str = "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,\
street sign,stop sign,parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,hat,backpack,umbrella,\
shoe,eye glasses,handbag,tie,suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,\
surfboard,tennis racket,bottle,plate,wine glass,cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,\
hot dog,pizza,donut,cake,chair,couch,potted plant,bed,mirror,dining table,window,desk,toilet,door,tv,laptop,mouse,remote,\
keyboard,cell phone,microwave,oven,toaster,sink,refrigerator,blender,book,clock,vase,scissors,teddy bear,hair drier,\
toothbrush";

/// Pascal VOC's 20 classes.
pub(super) const VOC_20: &str = "aeroplane,bicycle,bird,boat,bottle,bus,car,cat,chair,cow,diningtable,dog,horse,motorbike,\
person,pottedplant,sheep,sofa,train,tvmonitor";

/// COCO's 17 keypoints.
pub(super) const KEYPOINTS_17: &str = "nose,left_eye,right_eye,left_ear,right_ear,left_shoulder,right_shoulder,left_elbow,\
right_elbow,left_wrist,right_wrist,left_hip,right_hip,left_knee,right_knee,left_ankle,right_ankle";

/// The 14 keypoints of the AI Challenger data set's order (PoseEstimationForMobile's CPM and hourglass models).
pub(super) const KEYPOINTS_14: &str = "head_top,neck,right_shoulder,right_elbow,right_wrist,left_shoulder,left_elbow,\
left_wrist,right_hip,right_knee,right_ankle,left_hip,left_knee,left_ankle";

/// The 16 keypoints of MPII.
pub(super) const KEYPOINTS_16: &str = "right_ankle,right_knee,right_hip,left_hip,left_knee,left_ankle,pelvis,thorax,\
upper_neck,head_top,right_wrist,right_elbow,right_shoulder,left_shoulder,left_elbow,left_wrist";

/// OpenPose's 18 keypoints of COCO.
pub(super) const KEYPOINTS_18: &str = "nose,neck,right_shoulder,right_elbow,right_wrist,left_shoulder,left_elbow,left_wrist,\
right_hip,right_knee,right_ankle,left_hip,left_knee,left_ankle,right_eye,left_eye,right_ear,left_ear";

/// A list above as names.
pub(super) fn names(list: &str) -> Vec<String> {
    list.split(',').map(str::to_owned).collect()
}

/// `class_0`, `class_1`, …
pub(super) fn numbered(what: &str, count: usize) -> Vec<String> {
    (0..count).map(|at| format!("{what}_{at}")).collect()
}

/// Keypoint names for `count` keypoints, and whether they are more than numbers.
pub(super) fn keypoints(count: usize) -> (Vec<String>, bool) {
    let known = match count {
        14 => KEYPOINTS_14,
        16 => KEYPOINTS_16,
        17 => KEYPOINTS_17,
        18 => KEYPOINTS_18,
        _ => return (numbered("keypoint", count), false),
    };
    (names(known), true)
}
