"""Lineage as SQL: from an exported mask to the people behind its weights, and back from an image or a person.

Weights are trained on human masks, from other weights; and human masks are made with the help of weights. Both are ways
by which what somebody drew comes into a later mask.
"""

from collections.abc import Mapping

LINEAGE_MEANINGS: Mapping[str, str] = {
    "mask_help": "human masks, and the weights, of SAM or a detector, with whose help they were made",
    "detector_masks": "detectors, and the human masks that they were trained on",
    "checkpoint_ancestry": "weights, and those that they were trained from, step by step down to the first",
    "checkpoint_influence": "weights, of SAM or a detector, and later ones that were trained from them or on masks "
    "made with their help",
    "mask_lineage": "of every exported mask: its image's source, its weights, and each human mask that these or their "
    "ancestors were trained on, with who made it",
}

LINEAGE_VIEWS = (
    """
    CREATE VIEW mask_help AS
    SELECT mask_id, checkpoint_digest AS digest FROM human_masks WHERE checkpoint_digest IS NOT NULL
    UNION
    SELECT h.mask_id, m.checkpoint_digest FROM human_masks h JOIN masks m ON m.mask_id = h.source_mask_id
    UNION
    SELECT h.mask_id, p.checkpoint_digest FROM human_masks h JOIN prefilled_masks p ON p.mask_id = h.source_mask_id
    UNION
    SELECT h.mask_id, p.detector_digest FROM human_masks h JOIN prefilled_masks p ON p.mask_id = h.source_mask_id
    """,
    """
    CREATE VIEW detector_masks AS
    SELECT d.digest, d.round, h.mask_id
    FROM detectors d JOIN human_masks h ON list_contains(d.rounds, h.round)
    WHERE NOT EXISTS (SELECT 1 FROM training_masks t WHERE t.mask_id = h.mask_id AND t.split = 'held_out')
    """,
    """
    CREATE VIEW checkpoint_ancestry AS
    WITH RECURSIVE names AS (
        SELECT digest, any_value(name) AS name FROM (
            SELECT digest, name FROM checkpoints
            UNION ALL SELECT parent_digest, parent FROM checkpoint_rounds
            UNION ALL SELECT checkpoint_digest, round FROM checkpoint_rounds
        ) GROUP BY ALL
    ), chain AS (
        SELECT digest, digest AS ancestor_digest, [digest] AS path FROM names
        UNION ALL
        SELECT c.digest, r.parent_digest, list_append(c.path, r.parent_digest)
        FROM chain c JOIN checkpoint_rounds r ON r.checkpoint_digest = c.ancestor_digest
        WHERE NOT list_contains(c.path, r.parent_digest)
    )
    SELECT DISTINCT c.digest AS checkpoint_digest, own.name AS checkpoint, len(c.path) - 1 AS steps,
           c.ancestor_digest, ancestor.name AS ancestor
    FROM chain c JOIN names own USING (digest) JOIN names ancestor ON ancestor.digest = c.ancestor_digest
    ORDER BY checkpoint, checkpoint_digest, steps
    """,
    """
    CREATE VIEW checkpoint_influence AS
    SELECT parent_digest AS digest, checkpoint_digest AS later_digest, 'weights' AS how
    FROM checkpoint_rounds WHERE parent_digest <> checkpoint_digest
    UNION
    SELECT h.digest, t.checkpoint_digest, 'help'
    FROM training_masks t JOIN mask_help h USING (mask_id)
    WHERE t.split = 'train' AND h.digest <> t.checkpoint_digest
    UNION
    SELECT h.digest, d.digest, 'help'
    FROM detector_masks d JOIN mask_help h USING (mask_id)
    """,
    """
    CREATE VIEW mask_lineage AS
    SELECT m.mask_id, m.image_id, i.source_uri, m.shard,
           CASE WHEN e.asset IS NOT NULL THEN 'sa1b_export/sa_' || m.shard || '.tar' END AS export,
           a.checkpoint, m.checkpoint_digest, a.steps, a.ancestor, a.ancestor_digest, t.round,
           t.mask_id AS human_mask_id, h.image_id AS human_image_id, h.annotator, h.reviewer
    FROM masks m
    JOIN images i USING (image_id)
    JOIN artifacts d ON d.asset = 'deduplicated_masks' AND d.shard = m.shard
    LEFT JOIN artifacts e
        ON e.asset = 'sa1b_export' AND e.shard = m.shard AND e.inputs->>'deduplicated_masks' = d.content_digest
    LEFT JOIN checkpoint_ancestry a ON a.checkpoint_digest = m.checkpoint_digest
    LEFT JOIN training_masks t ON t.checkpoint_digest = a.ancestor_digest AND t.split = 'train'
    LEFT JOIN human_masks h ON h.mask_id = t.mask_id
    """,
)

MACRO_MEANINGS: Mapping[str, str] = {
    "touched_by_image": "human masks, weights, detectors, exported masks and exports that an image touched, by its "
    "image_id",
    "touched_by_person": "human masks, weights, detectors, exported masks and exports that a person touched, by "
    "pseudonym",
}

_OF_IMAGE = "SELECT mask_id, 'own' AS how FROM human_masks WHERE image_id = of_image"
_OF_PERSON = """
    SELECT mask_id, 'own' AS how FROM human_masks WHERE annotator = of_person
    UNION SELECT mask_id, 'own' FROM human_mask_events WHERE person = of_person
    UNION SELECT mask_id, 'reviewed' FROM human_masks WHERE reviewer = of_person
"""

_TOUCHED = """
    CREATE MACRO {name}({parameter}) AS TABLE
    WITH RECURSIVE seeds AS (
        {seeds}
    ), seed AS (
        SELECT mask_id, CASE WHEN bool_or(how = 'own') THEN 'own' ELSE 'reviewed' END AS how FROM seeds GROUP BY ALL
    ), reached AS (
        SELECT DISTINCT t.checkpoint_digest AS digest, 'weights' AS how
        FROM training_masks t JOIN seed s USING (mask_id) WHERE t.split = 'train' AND s.how = 'own'
        UNION
        SELECT DISTINCT d.digest, 'weights' FROM detector_masks d JOIN seed s USING (mask_id) WHERE s.how = 'own'
        UNION
        SELECT f.later_digest, CASE WHEN r.how = 'weights' AND f.how = 'weights' THEN 'weights' ELSE 'help' END
        FROM reached r JOIN checkpoint_influence f USING (digest)
    ), touched_weights AS (
        SELECT digest, CASE WHEN bool_or(how = 'weights') THEN 'weights' ELSE 'help' END AS how
        FROM reached GROUP BY digest
    ), compared AS (
        SELECT DISTINCT t.checkpoint_digest AS digest
        FROM training_masks t JOIN seed s USING (mask_id)
        WHERE t.split = 'held_out' AND s.how = 'own'
              AND t.checkpoint_digest NOT IN (SELECT digest FROM touched_weights)
    ), touched_masks AS (
        SELECT m.mask_id, m.image_id, m.shard, {own_mask} AS how
        FROM masks m LEFT JOIN touched_weights w ON w.digest = m.checkpoint_digest
        WHERE {own_mask} IS NOT NULL
    ), touched_exports AS (
        SELECT e.shard, min(CASE m.how WHEN 'own' THEN 1 WHEN 'weights' THEN 2 ELSE 3 END) AS closest
        FROM artifacts e JOIN touched_masks m USING (shard) WHERE e.asset = 'sa1b_export' GROUP BY e.shard
    )
    SELECT 'human mask' AS what, h.mask_id::VARCHAR AS id, h.image_id, h.shard, h.round,
           coalesce(s.how, 'help') AS how
    FROM human_masks h LEFT JOIN seed s USING (mask_id)
    WHERE s.how IS NOT NULL
          OR h.mask_id IN (SELECT mask_id FROM mask_help WHERE digest IN (SELECT digest FROM touched_weights))
    UNION ALL
    SELECT CASE WHEN w.digest IN (SELECT digest FROM detectors) THEN 'detector' ELSE 'weights' END, w.digest, NULL,
           NULL, coalesce((SELECT any_value(round) FROM checkpoint_rounds r WHERE r.checkpoint_digest = w.digest),
                    (SELECT any_value(round) FROM detectors d WHERE d.digest = w.digest)),
           w.how
    FROM (SELECT * FROM touched_weights UNION ALL SELECT digest, 'compared' FROM compared) w
    UNION ALL
    SELECT 'exported mask', mask_id::VARCHAR, image_id, shard, NULL, how FROM touched_masks
    UNION ALL
    SELECT 'export', 'sa1b_export/sa_' || shard || '.tar', NULL, shard, NULL, ['own', 'weights', 'help'][closest]
    FROM touched_exports
"""

LINEAGE_MACROS = (
    _TOUCHED.format(
        name="touched_by_image",
        parameter="of_image",
        seeds=_OF_IMAGE,
        own_mask="CASE WHEN m.image_id = of_image THEN 'own' ELSE w.how END",
    ),
    _TOUCHED.format(name="touched_by_person", parameter="of_person", seeds=_OF_PERSON, own_mask="w.how"),
)
