"""Write the snapshots anew."""

from tests.snapshots import OPENAPI, as_text, openapi

if __name__ == "__main__":
    OPENAPI.write_text(as_text(openapi()))
