"""main.cf parameters, a file per stage of the journey."""
