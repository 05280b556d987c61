"""The fitted objects that are stored, and what the `V1` in their names promises.

A stored version is a pickle: it names the classes of its objects by module and name, and holds their
attributes. So of every class that a stored object consists of, once a released version could store it:

- its **module and name** stay, and its **attributes** stay what they are and mean what they meant: a version
  that was saved by any older engine loads in every newer one, and predicts the same;
- **another attribute is another class**: `ForecasterV2` beside `ForecasterV1`. New trainings store the new
  one; the old one keeps its code, and is only taken out when no supported release could have stored it: none
  has been so far;
- what is not stored may change: methods, how a class is made, the recipes.

The same holds for what they are made of and does not bear a number: `FeatureSpace` in
`ai_engine.training.features`, and the private `_Spread` in `ai_engine.training.estimators.detectors`. What is
within of other packages, such as scikit-learn's trees, is theirs to keep; each version records with which
ones it was made.

`tests/training/stored_classes.json` lists the classes and their attributes as they are stored;
`tests/training/test_stored_classes.py` fails when one that is listed has gone or changed, or one is stored
that is not listed, and loads objects that earlier code has stored.
"""
