"""How simulated people work and how long it takes them: every constant, with its source where there is one.

A mask that is traced by hand costs 54 s and a click 1.8 s; how many clicks and how much tracing a mask needs is what
the model decides. Nothing is slept: people report these seconds. The paper's took 34 s a mask at first and 14 s in the
end (§4).
"""

CLICK_SECONDS = 1.8
"""For one click and the look at what it did: four clicks on extreme points take 7 s (Papadopoulos et al. 2017)."""

LOOK_SECONDS = 2.0
"""Until it is clear what the next object is and where it ends; ours."""

CHOOSE_SECONDS = 1.0
"""To press a key for another of the three masks; ours."""

UNDO_SECONDS = 0.8
"""To see that a click made things worse and take it back; ours."""

STROKE_SECONDS = 1.5
"""To take the brush and begin a stroke; ours."""

OUTLINE_SECONDS = 54.0
"""To trace a whole object's outline; a stroke costs its share of it. Bearman et al. 2016 give 54 to 79 s, the latter
for COCO's polygons; here two people's agreement is enough (`CONTENT_IOU`)."""

NAME_SECONDS = 3.0
"""To type a word; ours."""

JUDGE_SECONDS = 1.5
"""To look at a pre-filled mask, and keep it or throw it away; ours."""

GUIDELINE_SECONDS = 30.0
"""After it nothing more is begun for a mask (paper §4), nor anything that would take that long by itself."""

PICTURE_SECONDS = 600.0
"""For one picture; the paper's 44 masks of 14 s are as long."""

PATIENCE = 5
"""Objects of a picture that may take too long before the person goes on to the next picture; ours (by the paper's
guideline, one)."""

MAX_CLICKS = 6
"""On one object; ours."""

FRUITLESS_CLICKS = 2
"""After so many clicks that changed little, the person takes the brush; ours."""

SEEN_GAIN = 0.01
"""A difference of IoU that a person sees; ours."""

CONTENT_IOU = 0.85
"""From it on a mask is left as it is: two people agree on 0.85 to 0.91 (paper §5)."""

ENOUGH_IOU = 0.75
"""A mask that is below it when the time is over is thrown away; the lower bar of the paper's quality audit (§5)."""

KEEP_IOU = 0.75
"""From it on a pre-filled mask is kept as it is; the same bar."""

MEND_IOU = 0.5
"""From it on a pre-filled mask, or one to be perfected in an audit, is seen to mean an object; ours."""

REVIEW_IOU = 0.5
"""Below it the reviewer sends a mask back, once; ours."""

COVERED_IOU = 0.6
"""From it on an object has a mask already; ours."""

MIN_OBJECT_SHARE = 0.001
"""Of the picture's area; smaller objects are not asked for, as in the evaluation."""

TOLERANCE_SHARE = 0.004
"""Of the picture's longer side: so far off an outline may be before somebody takes the brush; ours, 2 px of 500."""
