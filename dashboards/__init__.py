"""The pages: thin views over the monitor's API. The only importer of Streamlit."""
