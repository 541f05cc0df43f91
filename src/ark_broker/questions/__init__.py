"""Ask and answer: questions that are held open until somebody answers, over restarts and on every replica."""
