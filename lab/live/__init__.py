"""What a person sees while a run goes: one reducer, drawn as a picture or as plain lines."""
