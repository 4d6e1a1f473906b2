// Version of the kernels' interface; nvc_jax/native/library.py states the version that it needs.

extern "C" __attribute__((visibility("default"))) int nvc_kernels_version() { return 15; }
