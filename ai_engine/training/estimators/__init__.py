"""The fitted objects that are stored. Each class bears a version: an old pickle finds its class."""
