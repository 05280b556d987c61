"""How each kind of model is trained, one file a kind; `ai_engine.training.kinds` names them."""
