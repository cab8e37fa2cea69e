"""AWS SQS, SNS and CloudWatch, read with boto3."""
