"""From a style and a melody to notes: options, logit rules, the sampling engine, style transfer."""
