"""Five faulty backends in memory, which every run has to find before it judges anybody else."""
