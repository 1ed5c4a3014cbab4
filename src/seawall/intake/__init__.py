"""cleanup(8), trivial-rewrite(8): what a client hands over is made ours."""
